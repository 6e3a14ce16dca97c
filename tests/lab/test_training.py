"""Trainer settings, the metrics file and both backends, on the shipped base and on models made here."""

import csv
import dataclasses
import importlib.util
import shutil
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
import safetensors.torch
import torch
from transformers import GenerationConfig, TrainerCallback

from grpo_lab import data, evaluation, lab, models, recipes, records, runs, training
from grpo_lab.host import Device
from grpo_lab.mirror import open_mirror
from grpo_lab.recipes import TINY
from grpo_lab.training.log_probs import TorchLogProbs
from grpo_math import formats, rewards

ROOT = Path(__file__).parents[2]
MEASURED = {"eval_accuracy": 0.5, "eval_low": 0.4, "eval_high": 0.6}
BACKENDS = [
    "peft",
    pytest.param("unsloth", marks=pytest.mark.skipif(not importlib.util.find_spec("unsloth"), reason="no Unsloth")),
]
SMALL = dataclasses.replace(
    TINY,
    sft=dataclasses.replace(TINY.sft, examples=16, epochs=1, batch_size=8),
    grpo=dataclasses.replace(
        TINY.grpo,
        rollouts=2,
        prompts_per_rollout=2,
        num_generations=4,
        updates_per_rollout=1,
        max_completion_length=40,
        eval_problems=2,
        eval_every=1,
        save_every=1,
    ),
    evaluation=dataclasses.replace(TINY.evaluation, max_completion_length=40, batch_size=8),
)


def log(state: SimpleNamespace, callback, **logs) -> None:
    """Log as the trainer does: into its own history first, then to the callbacks."""
    state.log_history.append({**logs, "step": state.global_step})
    callback.on_log(None, state, None, logs=logs)


def make_metrics(folder: Path, accuracy: float) -> training.Metrics:
    measured = {"eval_accuracy": accuracy, "eval_low": accuracy - 0.1, "eval_high": accuracy + 0.1}
    return training.Metrics(folder / "metrics.csv", Told(), runs.StageClock(folder, "grpo"), lambda: measured, every=2)


class Told(SimpleNamespace):
    """A tracker that keeps what it is told."""

    def log(self, values, step):
        self.__dict__.setdefault("rows", []).append((step, values))


def test_the_metrics_file_is_the_trainers_log_with_dev_accuracy_also_after_a_cut(tmp_path):
    state = SimpleNamespace(global_step=0, max_steps=4, log_history=[], is_world_process_zero=True)
    metrics = make_metrics(tmp_path, 0.5)
    metrics.on_train_begin(None, state, None)
    for state.global_step in (1, 2, 3):
        metrics.on_step_end(None, state, None)
        log(state, metrics, loss=1.0 / state.global_step, note="text is not a metric")
    assert [row["eval_accuracy"] for row in rows(tmp_path / "metrics.csv")] == ["0.5", "", "0.5", ""]
    assert "note" not in rows(tmp_path / "metrics.csv")[1]
    assert metrics.tracker.rows[1] == (2, {"eval/accuracy": 0.5, "eval/accuracy_low": 0.4, "eval/accuracy_high": 0.6})

    checkpoint = [entry for entry in state.log_history if entry["step"] <= 2]  # the newest one: step 3 is done again
    state = SimpleNamespace(global_step=2, max_steps=4, log_history=checkpoint, is_world_process_zero=True)
    resumed = make_metrics(tmp_path, 0.75)
    resumed.on_train_begin(None, state, None)
    state.global_step = 3
    log(state, resumed, loss=9.0)
    found = rows(tmp_path / "metrics.csv")
    assert [row["step"] for row in found] == ["0", "1", "2", "3"] and found[3]["loss"] == "9.0"
    assert found[2]["eval_accuracy"] == "0.5", "what was measured before the cut"


def test_a_cut_in_the_middle_of_a_write_loses_no_row(tmp_path, monkeypatch):
    records.write_csv(tmp_path / "metrics.csv", [{"step": 1, "loss": 0.5}])

    def cut(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(KeyboardInterrupt):
        records.write_csv(tmp_path / "metrics.csv", [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}])
    assert rows(tmp_path / "metrics.csv") == [{"step": "1", "loss": "0.5"}]


def rows(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_stopped_training_says_what_is_kept_in_one_sentence(tmp_path):
    trainer = Mock(**{"args.to_json_string.return_value": "", "state.global_step": 0, "callback_handler.callbacks": []})

    def interrupted(**_):
        trainer.state.global_step = 3
        raise KeyboardInterrupt

    trainer.model, trainer.train = torch.nn.Linear(2, 2), interrupted
    with pytest.raises(KeyboardInterrupt) as stop:
        training.train(trainer, tmp_path / "sft")
    sentence = "Stopped at step 3: no checkpoint is kept yet; run this cell again to begin anew."
    assert stop.value._render_traceback_() == [sentence], "a notebook shows the sentence alone"
    assert not (tmp_path / "sft_learning.json").exists()
    with pytest.raises(RuntimeError, match="was used already: make it again"):
        training.train(trainer, tmp_path / "sft")


@pytest.mark.parametrize("skipped", [[False, False], [True, True, False], [], [True, True]], ids=str)
def test_updates_that_fp16_skipped_are_counted_and_that_all_were_is_an_error(skipped):
    accelerator, state = SimpleNamespace(), SimpleNamespace(log_history=[{"loss": 1.0}])
    updates = training.Updates(accelerator)
    for accelerator.optimizer_step_was_skipped in skipped:
        updates.on_optimizer_step(None, None, None)
    updates.on_log(None, state, None)
    assert state.log_history[-1]["skipped_updates"] == updates.skipped == sum(skipped)
    assert updates.applied == len(skipped) - sum(skipped)
    if skipped and all(skipped):
        with pytest.raises(RuntimeError, match="All 2 updates were skipped: .* nothing was learned"):
            updates.check()
    else:
        updates.check()


def test_a_completion_ends_before_the_stop_text():
    model, tokenizer = models.load_base(TINY, ROOT, "peft")
    prompts = evaluation.render_prompts(tokenizer, data.load_problems(TINY, "dev", 4), "plain")
    generator = evaluation.TransformersGenerator(model, tokenizer, batch_size=4)
    whole = generator(prompts, evaluation.Decoding(60), seed=0)
    cut = generator(prompts, evaluation.Decoding(60, stop="="), seed=0)
    for (text, tokens, _), (short, fewer, truncated) in zip(whole, cut):
        assert "=" in text and short == text.split("=")[0] and not truncated and fewer <= tokens
    with pytest.raises(ValueError, match="no prompt style 'bare'; choose one of chat, plain, few-shot, question"):
        evaluation.render_prompts(tokenizer, data.load_problems(TINY, "dev", 1), "bare")


def test_questions_of_the_test_set_that_are_trained_on_are_found():
    small = dataclasses.replace(TINY, evaluation=dataclasses.replace(TINY.evaluation, problems=20))
    test, trained = data.load_problems(small, "test", 20), data.load_problems(small, "grpo", 20)
    assert data.check_contamination(small, trained, None).matches["exact duplicate"] == {}
    leaked = data.check_contamination(small, trained, test.select([3, 7]))
    assert leaked.matches["exact duplicate"] == {3: 20, 7: 21}


@pytest.mark.parametrize(("name", "value"), {"chat_template": "{{ messages }}", "eos_token": "<|endoftext|>"}.items())
def test_an_adapter_is_asked_as_it_was_trained(name, value, tmp_path):
    tokenizer = models.load_tokenizer(TINY, ROOT)
    tokenizer.save_pretrained(tmp_path / "sft" / "adapter")
    models.check_tokenizer(tokenizer, tmp_path / "sft" / "adapter")
    setattr(tokenizer, name, value)
    with pytest.raises(ValueError, match=f"The adapter in sft/adapter was trained with another {name} than"):
        models.check_tokenizer(tokenizer, tmp_path / "sft" / "adapter")


def test_an_adapter_without_tokenizer_files_is_asked_with_the_recipes_tokenizer(tmp_path, capsys):
    (tmp_path / "sft" / "adapter").mkdir(parents=True)
    models.check_tokenizer(models.load_tokenizer(TINY, ROOT), tmp_path / "sft" / "adapter")
    assert "sft/adapter has no tokenizer files" in capsys.readouterr().out


def test_an_adapter_is_fetched_from_a_folder_or_the_hub(tmp_path, folder, call, monkeypatch):
    for place in (tmp_path / "mine", folder / "models" / "ours" / "adapter", folder / "models" / "ours" / "merged"):
        place.mkdir(parents=True)
        (place / ("model.safetensors" if place.name == "merged" else "adapter_model.safetensors")).write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    assert models.fetch_adapter("mine", ROOT) == Path("mine") and models.fetch_adapter(str(tmp_path / "mine"), ROOT)
    fetched = call(models.fetch_adapter, "ours/adapter", ROOT)
    assert (fetched / "adapter_model.safetensors").read_bytes() == b"weights"
    for name, sentence in (
        ("ours/merged", "holds no adapter_model"),
        ("ours/none", "the hub gives none"),
        ("a b", "is no folder"),
    ):
        with pytest.raises(ValueError, match=f"ADAPTER = '{name}'.* {sentence}"):
            call(models.fetch_adapter, name, ROOT)


def test_an_adapter_on_an_adapter_or_one_that_does_not_fit_is_refused(tmp_path):
    def load():
        return models.load_base(TINY, ROOT, "peft")[0]

    model = models.add_adapter(load(), TINY.lora, "peft", 0)
    model.save_pretrained(tmp_path)
    assert models.load_adapter(load(), tmp_path).peft_config
    for again in (lambda: models.add_adapter(model, TINY.lora, "peft", 0), lambda: models.load_adapter(model, tmp_path)):
        with pytest.raises(ValueError, match="has an adapter already: load the base again"):
            again()
    smaller = models.add_adapter(load(), dataclasses.replace(TINY.lora, rank=8), "peft", 0)
    with pytest.raises(ValueError, match="its weights have other shapes, as it was trained on .*tiny-base"):
        models.fill_adapter(smaller, tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "adapter_model.safetensors")
    missing = sorted(weights)[0]
    safetensors.torch.save_file(
        {name: w for name, w in weights.items() if name != missing}, tmp_path / "adapter_model.safetensors"
    )
    for use in (lambda: models.load_adapter(load(), tmp_path), lambda: models.fill_adapter(model, tmp_path)):
        with pytest.raises(ValueError, match=f"does not fit the model: 1 of {len(weights)} weights are missing .*{missing}"):
            use()


def test_on_apple_silicon_both_stages_train_through_peft_on_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    asked = {}

    def from_pretrained(name, **settings) -> SimpleNamespace:
        asked.update(settings)
        return SimpleNamespace(device=torch.device("mps"))

    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    recipe = recipes.for_device(recipes.get_recipe("qwen3-4b-engine"), Device("mps", "Apple M3 Max", 36.0))
    tokenizer = models.load_tokenizer(TINY, ROOT)
    monkeypatch.setattr(models.AutoTokenizer, "from_pretrained", lambda name: tokenizer)
    models.load_base(recipe, ROOT, runs.choose_backend("auto", "mps"))
    assert asked == {"dtype": torch.float32, "device_map": {"": "mps"}}
    args = training.device_args(recipe)
    assert not args["use_cpu"] and not args["fp16"] and not args["bf16"]
    with pytest.raises(ValueError, match="On Apple Silicon Unsloth has no GRPO: set BACKEND = 'auto' or 'peft'"):
        runs.choose_backend("unsloth", "mps")


def test_grpo_settings_add_up():
    plan, config = TINY.grpo, training.grpo_config(TINY, Path("out"), 0)
    assert config.generation_batch_size == plan.prompts_per_rollout * plan.num_generations
    assert config.max_steps * config.per_device_train_batch_size == plan.rollouts * config.generation_batch_size, "each used once"
    assert not config.bf16 and not config.fp16 and config.beta == 0.0


def test_torch_log_probs_equal_the_textbook():
    torch.manual_seed(0)
    hidden, weight, targets = torch.randn(5, 8), torch.randn(11, 8), torch.tensor([0, 3, 10, 2, 2])
    chosen, entropy, *_ = TorchLogProbs.apply(hidden, weight, None, targets, 0.7, 64, None, 1.0, ("log_probs", "entropy"))
    p = torch.softmax(hidden @ weight.T / 0.7, -1)
    torch.testing.assert_close(chosen, p[range(5), targets].log())
    torch.testing.assert_close(entropy, -(p * p.log()).sum(-1))


def test_unknown_backend_and_a_missing_one(monkeypatch):
    with pytest.raises(ValueError, match="There is no backend 'jax'. Set BACKEND to one of: auto, unsloth, peft"):
        runs.choose_backend("jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert runs.choose_backend("auto") == "peft"
    with pytest.raises(ImportError, match="Unsloth is not installed: run `make setup`, or set BACKEND = 'peft'"):
        runs.choose_backend("unsloth")


def test_a_damaged_base_is_refused(tmp_path):
    base = tmp_path / "data" / "tiny-base"
    shutil.copytree(ROOT / "data" / "tiny-base", base)
    models.check_base(base)
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0" * 8)
    with pytest.raises(ValueError, match="The tiny base is damaged.*git checkout -- data/tiny-base.*make tiny-base"):
        models.load_base(TINY, tmp_path, "peft")
    weights.unlink()
    with pytest.raises(ValueError, match="model.safetensors is missing or does not have the hash"):
        models.load_base(TINY, tmp_path, "peft")


def test_the_prompt_is_a_prefix_of_the_conversation():
    _, tokenizer = models.load_base(TINY, ROOT, "peft")
    row = data.load_sft_examples(SMALL, 0)[0]
    prompt = tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*row["prompt"], *row["completion"]], tokenize=False)
    assert whole.startswith(prompt) and prompt.endswith("<start_working_out>")
    ids = tokenizer(whole, add_special_tokens=False).input_ids
    assert (
        ids[: len(tokenizer(prompt, add_special_tokens=False).input_ids)] == tokenizer(prompt, add_special_tokens=False).input_ids
    )
    assert tokenizer.decode(ids, skip_special_tokens=True).count("<SOLUTION>") == 1, "tags must survive the decoding of rewards"
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def sft_trainer(model, tokenizer, stage: lab.Stage):
    from trl import SFTTrainer

    return SFTTrainer(
        model=model,
        args=training.sft_config(SMALL, SMALL.sft, **stage.trainer_args),
        train_dataset=data.load_sft_examples(SMALL, 0).select_columns(["prompt", "completion"]),
        processing_class=tokenizer,
        callbacks=stage.watch(),
    )


def grpo_trainer(model, tokenizer, stage: lab.Stage, stop_after: int | None = None, functions=None, pool=None):
    from trl import GRPOTrainer

    class Interrupt(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == stop_after:
                raise KeyboardInterrupt

    recorder = training.Recorder(functions or rewards.reward_set(formats.get_format("tags")), SMALL, tokenizer)
    return GRPOTrainer(
        model=model,
        reward_funcs=recorder.functions,
        args=training.grpo_config(SMALL, **stage.trainer_args),
        train_dataset=pool or data.load_problems(SMALL, "grpo", 4),  # two rollouts of two prompts
        processing_class=tokenizer,
        callbacks=[*stage.watch(recorder, lambda: MEASURED, lambda rows, latest: ""), Interrupt()],
    )


@pytest.fixture
def open_lab(tmp_path):
    """The small recipe in a folder of its own, by either backend, without a mirror or a tracker."""

    def open_it(backend: str) -> lab.Lab:
        runs.choose_backend(backend)
        mirror = open_mirror("none", tmp_path, "local")
        return lab.Lab(SMALL, tmp_path, ROOT, 0, backend, mirror, "none", use_vllm=False)

    return open_it


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_stage_trains_saves_resumes_and_loads(backend, open_lab, capsys):
    here = open_lab(backend)
    base, tokenizer = models.load_base(SMALL, ROOT, backend)
    model = models.add_adapter(base, SMALL.lora, backend, seed=0)
    with here.stage("sft") as stage:
        assert stage.train(sft_trainer(model, tokenizer, stage)).learned
    assert (
        here.run / "sft_data.md"
    ).read_text() == "16 worked examples of the tiny world, 1 of them without a quantity that they need.\n"

    trained = lora_weights(model)
    model = models.add_adapter(models.load_base(SMALL, ROOT, backend)[0], SMALL.lora, backend, seed=1)
    models.fill_adapter(model, here.adapter("sft"))
    torch.testing.assert_close(lora_weights(model), trained)
    with pytest.raises(KeyboardInterrupt, match="1: checkpoint-1 is kept; run"), here.stage("grpo") as stage:  # ends half-way
        stage.train(grpo_trainer(model, tokenizer, stage, stop_after=1))
    assert not (here.run / "grpo" / "adapter").exists()
    torch.testing.assert_close(lora_weights(model), trained)
    spent = {row["stage"]: float(row["wall_s"]) for row in runs.read_stages(here.run)}
    with here.stage("grpo") as stage:
        trainer = grpo_trainer(model, tokenizer, stage)
        stage.train(trainer)
    assert "continuing from grpo/checkpoint-1" in capsys.readouterr().out
    assert {row["stage"]: float(row["wall_s"]) for row in runs.read_stages(here.run)}["grpo"] > spent["grpo"], "both sessions"
    logged = records.read_metrics(here.run / "grpo_metrics.csv")
    assert trainer.state.global_step == 2 and [row["step"] for row in logged] == [0, 1, 2]
    kept = records.read_completions(here.run)
    for row in logged[1:]:
        assert_kept([completion for completion in kept if completion["step"] == row["step"]], row)
    assert not trainer.args.report_to and here.adapter("grpo").is_dir()
    with here.stage("grpo") as stage:  # run again, when all is done
        stage.train(grpo_trainer(model, tokenizer, stage))
    assert records.read_completions(here.run) == kept and records.read_metrics(here.run / "grpo_metrics.csv")[:-1] == logged[:-1]

    samples = evaluation.evaluate(model, tokenizer, data.load_problems(SMALL, "dev", 3), SMALL, "grpo")
    assert len(samples) == 3 and all(0 < s["tokens"] <= 40 for s in samples)


def long(completion_ids, **columns):
    return [float(len(ids)) for ids in completion_ids]


def on_even_rows(prompts, completions, row, **columns):
    return torch.tensor([1.0 if n % 2 == 0 else torch.nan for n in row])


async def waits(completions, trainer_state, **columns):
    return [0.25 * trainer_state.global_step for _ in completions]


def test_a_rollout_is_generated_in_parts_with_the_same_greedy_completions(open_lab):
    base, tokenizer = models.load_base(SMALL, ROOT, "peft")
    prompts = evaluation.render_prompts(tokenizer, data.load_problems(SMALL, "dev", 5), "chat")
    inputs = tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
    config = GenerationConfig(
        max_new_tokens=30, do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    settings, seen = {"generation_config": config, "disable_compile": True}, []
    whole, generate = base.generate(**inputs, **settings), base.generate
    base.generate = lambda **given: seen.append(len(given["input_ids"])) or generate(**given)
    models.generate_in_parts(base, 2)
    assert torch.equal(base.generate(**inputs, **settings), whole) and seen == [2, 2, 1]
    assert len(evaluation.evaluate(base, tokenizer, data.load_problems(SMALL, "dev", 5), SMALL, "sft")) == 5 == seen[-1], (
        "its own"
    )

    here = open_lab("peft")
    grpo = dataclasses.replace(SMALL.grpo, generation_batch=3)
    here = dataclasses.replace(here, recipe=dataclasses.replace(SMALL, grpo=grpo))
    model = models.add_adapter(models.load_base(SMALL, ROOT, "peft")[0], SMALL.lora, "peft", seed=0)
    generate, seen[:] = model.generate, []
    model.generate = lambda **given: seen.append(len(given["input_ids"])) or generate(**given)
    with here.stage("grpo") as stage:
        stage.train(grpo_trainer(model, tokenizer, stage))
    assert seen == [3, 3, 2, 3, 3, 2], "what TRL asks for at once: eight completions a rollout"


def test_rewards_of_your_own_train_also_on_problems_without_gold_answers(open_lab):
    here = open_lab("peft")
    base, tokenizer = models.load_base(SMALL, ROOT, "peft")
    pool = data.load_problems(SMALL, "grpo", 4).select_columns(["prompt"]).add_column("row", range(4))
    with here.stage("grpo") as stage:
        model = models.add_adapter(base, SMALL.lora, "peft", seed=0)
        stage.train(grpo_trainer(model, tokenizer, stage, functions=[long, on_even_rows, waits], pool=pool))
    kept, logged = records.read_completions(here.run), records.read_metrics(here.run / "grpo_metrics.csv")
    assert [row["long"] for row in kept] == [row["tokens"] for row in kept] and {row["gold"] for row in kept} == {""}
    assert sum(row["on_even_rows"] == 1 for row in kept) == 8 and {row["waits"] for row in kept} == {0.0, 0.25}
    assert all(row["rewards/on_even_rows/mean"] == 1 for row in logged[1:]), "NaN is no verdict"


def assert_kept(kept: list[dict], logged: dict[str, float]) -> None:
    """The completions of a logged step are those that were paid: TRL's own means and advantages follow from the rows."""
    assert len(kept) == 8 and [row["group"] for row in kept] == [0] * 4 + [1] * 4
    assert set(kept[0]) - set(records.COMPLETION_COLUMNS) == {"correctness", "exact_format", "approximate_format"}, (
        "and no other column"
    )
    texts, golds = [row["completion"][-1]["content"] for row in kept], [row["gold"] for row in kept]
    for name, function in (("correctness", rewards.correctness), ("exact_format", rewards.exact_format)):
        paid = [row[name] for row in kept]
        assert paid == function(formats.get_format("tags"))(texts, answer=golds)
        assert sum(paid) / 8 == pytest.approx(logged[f"rewards/{name}/mean"], abs=1e-5)
    assert sum(row["reward"] for row in kept) / 8 == pytest.approx(logged["reward"], abs=1e-5)
    for group in (0, 1):
        members = [row for row in kept if row["group"] == group]
        mean = sum(row["reward"] for row in members) / 4
        assert [row["advantage"] for row in members] == pytest.approx([row["reward"] - mean for row in members], abs=1e-5)
    assert sum(row["tokens"] for row in kept) / 8 == pytest.approx(logged["completions/mean_length"])
    assert sum(row["truncated"] for row in kept) / 8 == pytest.approx(logged["completions/clipped_ratio"])
    assert sum(row["tokens"] for row in kept) == logged["tokens/generated"]
    assert sum("H1" in row["flags"].split() for row in kept) / 8 == pytest.approx(logged["audit/false_claims"])
    assert logged["time/generate"] > logged["time/reward"] >= 0


def trained_with_a_probe(folder: Path, seed: int, every: int) -> tuple[torch.Tensor, list[str]]:
    """The small GRPO stage from a fresh adapter, measured on the way: the weights, and what the first rollout sampled."""
    recipe = dataclasses.replace(SMALL, grpo=dataclasses.replace(SMALL.grpo, eval_every=every))
    base, tokenizer = models.load_base(recipe, ROOT, "peft")
    model = models.add_adapter(base, recipe.lora, "peft", seed=0)
    folder.mkdir()
    probe = evaluation.accuracy_probe(model, tokenizer, data.load_problems(recipe, "dev", 2), recipe)
    here = lab.Lab(recipe, folder, ROOT, seed, "peft", open_mirror("none", folder, "local"), "none", use_vllm=False)
    with here.stage("grpo") as stage:
        trainer = grpo_trainer(model, tokenizer, stage)
        trainer.add_callback(training.Metrics(folder / "probed.csv", stage.tracker, stage.clock, probe, every))
        stage.train(trainer)
    return lora_weights(model), [row["completion"][-1]["content"] for row in records.read_completions(folder) if row["step"] == 1]


def test_measuring_on_the_way_changes_nothing_and_the_seed_reaches_the_samples(tmp_path):
    (once, sampled), (often, _), (_, others) = (
        trained_with_a_probe(tmp_path / f"{seed}-{every}", seed, every) for seed, every in ((0, 2), (0, 1), (1, 2))
    )
    assert torch.equal(once, often), "how often accuracy is measured must not change what is learned"
    assert sampled != others, "another seed samples other completions of the same prompts"


def lora_weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for name, p in sorted(model.named_parameters()) if "lora_" in name])
