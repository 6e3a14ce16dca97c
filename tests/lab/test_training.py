"""Trainer settings, the metrics file and both backends, on the shipped base and on models made here."""

import csv
import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import TrainerCallback

from grpo_lab import data, evaluation, models, recipes, runs, training
from grpo_lab.hosts import Device
from grpo_lab.recipes import TINY
from grpo_math import formats, rewards

ROOT = Path(__file__).parents[2]
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


def test_metrics_file_keeps_everything_and_drops_what_a_resumed_run_does_again(tmp_path):
    path, args = tmp_path / "metrics.csv", SimpleNamespace(output_dir=str(tmp_path))
    state = SimpleNamespace(global_step=0, max_steps=4)
    metrics = training.MetricsFile(path, measure=lambda: {"eval_accuracy": 0.5}, every=2)
    metrics.on_train_begin(args, state, None)
    for step in (1, 2, 3):
        state.global_step = step
        metrics.on_log(args, state, None, logs={"loss": 1.0 / step, "note": "text is not a metric"})
        metrics.on_step_end(args, state, None)
    assert [row["eval_accuracy"] for row in rows(path)] == ["0.5", "", "0.5", ""]
    resumed = training.MetricsFile(path, measure=lambda: {"eval_accuracy": 0.75}, every=2)
    state.global_step = 2  # the newest checkpoint was step 2: step 3 is done again
    resumed.on_train_begin(args, state, None)
    state.global_step = 3
    resumed.on_log(args, state, None, logs={"loss": 9.0})
    assert [row["step"] for row in rows(path)] == ["0", "1", "2", "3"] and rows(path)[3]["loss"] == "9.0"


def rows(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("skipped", [[False, False], [True, True, False], []], ids=["none", "some", "nothing was left to do"])
def test_updates_that_fp16_skipped_are_counted(skipped):
    updates, logs = updates_after(skipped), {}
    updates.on_log(None, None, None, logs=logs)
    assert logs["skipped_updates"] == updates.skipped == sum(skipped) and updates.applied == len(skipped) - sum(skipped)
    updates.check()


def test_that_fp16_skipped_every_update_is_an_error():
    with pytest.raises(RuntimeError, match="All 2 updates were skipped: .* nothing was learned"):
        updates_after([True, True]).check()


def updates_after(skipped: list[bool]) -> training.Updates:
    accelerator = SimpleNamespace()
    updates = training.Updates(accelerator)
    for accelerator.optimizer_step_was_skipped in skipped:
        updates.on_optimizer_step(None, None, None)
    return updates


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


def test_on_apple_silicon_both_stages_train_through_peft_on_mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    asked = {}
    monkeypatch.setattr(models.AutoModelForCausalLM, "from_pretrained", lambda name, **settings: asked.update(settings))
    recipe = recipes.for_device(recipes.get_recipe("qwen3-4b-engine"), Device("mps", "Apple M3 Max", 36.0))
    monkeypatch.setattr(
        models.AutoTokenizer, "from_pretrained", lambda name: SimpleNamespace(get_vocab=dict, pad_token="<p>", eos_token="<e>")
    )
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
    chosen, entropy, *_ = training.TorchLogProbs.apply(
        hidden, weight, None, targets, 0.7, 64, None, 1.0, ("log_probs", "entropy")
    )
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
    with pytest.raises(FileNotFoundError, match="model.safetensors or pretraining.json is missing"):
        models.load_base(TINY, tmp_path, "peft")


def test_a_damaged_priming_row_is_named(tmp_path):
    path = tmp_path / "priming.jsonl"
    path.write_text('{"id": "a", "problem": "p", "reasoning": "r", "answer": "1"}\n{"id": "b"}\n')
    with pytest.raises(ValueError, match="priming.jsonl, line 2 is damaged"):
        data.load_priming_examples(TINY, path=path)


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


def sft_trainer(model, tokenizer, out: Path):
    from trl import SFTTrainer

    examples = data.load_sft_examples(SMALL, 0).select_columns(["prompt", "completion"])
    return SFTTrainer(
        model=model,
        args=training.sft_config(SMALL, SMALL.sft, out, 0),
        train_dataset=examples,
        processing_class=tokenizer,
        callbacks=[training.MetricsFile(out / "metrics.csv")],
    )


def grpo_trainer(model, tokenizer, out: Path, stop_after: int | None = None):
    from trl import GRPOTrainer

    class Interrupt(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == stop_after:
                raise KeyboardInterrupt

    fmt = formats.get_format("tags")
    rollouts = training.Rollouts(out, fmt, tokenizer)
    return GRPOTrainer(
        model=model,
        reward_funcs=rollouts.record(rewards.reward_set(fmt)),
        args=training.grpo_config(SMALL, out, 0),
        train_dataset=data.load_problems(SMALL, "grpo", 8),
        processing_class=tokenizer,
        callbacks=[rollouts, training.MetricsFile(out / "metrics.csv"), training.Live(out, rollouts), Interrupt()],
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_stage_trains_saves_resumes_and_loads(backend, tmp_path, capsys):
    runs.choose_backend(backend)
    for stage in ("sft", "grpo"):
        (tmp_path / stage).mkdir()
    base, tokenizer = models.load_base(SMALL, ROOT, backend)
    model = models.add_adapter(base, SMALL.lora, backend, seed=0)
    training.train(sft_trainer(model, tokenizer, tmp_path / "sft"), tmp_path / "sft")
    models.save_adapter(model, tokenizer, tmp_path / "sft" / "adapter")

    trained = lora_weights(model)
    model = models.load_adapter(models.load_base(SMALL, ROOT, backend)[0], tmp_path / "sft" / "adapter", trainable=True)
    torch.testing.assert_close(lora_weights(model), trained)
    with pytest.raises(KeyboardInterrupt):  # a session that ends half-way
        training.train(grpo_trainer(model, tokenizer, tmp_path / "grpo", stop_after=1), tmp_path / "grpo")
    trainer = grpo_trainer(model, tokenizer, tmp_path / "grpo")
    training.train(trainer, tmp_path / "grpo")
    assert "continuing from grpo/checkpoint-1" in capsys.readouterr().out
    logged = rows(tmp_path / "grpo" / "metrics.csv")
    assert trainer.state.global_step == 2 and [row["step"] for row in logged] == ["1", "2"]
    for step, row in enumerate(logged, start=1):
        assert_kept(tmp_path / "grpo" / "completions" / f"step-{step:05}.jsonl", row)
    assert not trainer.args.report_to

    samples = evaluation.evaluate(model, tokenizer, data.load_problems(SMALL, "dev", 3), SMALL, "grpo", progress=False)
    assert len(samples) == 3 and all(0 < s["tokens"] <= 40 for s in samples)


def assert_kept(path: Path, logged: dict[str, str]) -> None:
    """The completions of a logged step are those that were paid: TRL's own means follow from the rows."""
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(kept) == 8 and [row["group"] for row in kept] == [0] * 4 + [1] * 4
    for name, function in (("correctness", rewards.correctness), ("exact_format", rewards.exact_format)):
        paid = [row["rewards"][name] for row in kept]
        assert paid == function(formats.get_format("tags"))([r["completion"] for r in kept], answer=[r["gold"] for r in kept])
        assert sum(paid) / 8 == pytest.approx(float(logged[f"rewards/{name}/mean"]), abs=1e-5)
    assert sum(row["reward"] for row in kept) / 8 == pytest.approx(float(logged["reward"]), abs=1e-5)
    assert sum(row["tokens"] for row in kept) / 8 == pytest.approx(float(logged["completions/mean_length"]))
    assert sum(row["truncated"] for row in kept) / 8 == pytest.approx(float(logged["completions/clipped_ratio"]))
    assert sum(row["tokens"] for row in kept) == float(logged["tokens/generated"])
    assert sum("H1" in row["flags"] for row in kept) / 8 == pytest.approx(float(logged["audit/false_claims"]))
    phases = [float(logged[f"time/{phase}"]) for phase in ("generate", "reward", "update")]
    assert all(seconds >= 0 for seconds in phases) and phases[0] > phases[1]


def lora_weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for name, p in sorted(model.named_parameters()) if "lora_" in name])
