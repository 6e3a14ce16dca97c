"""The rewards in the call forms of other trainers, each called as the framework's source calls it.

Every call below was read from the released package, whose version stands with it. Where a framework is installed, its own code
makes the call too.
"""

import asyncio
import importlib.util
import inspect
import logging
import math
import subprocess
import sys
import types
from pathlib import Path

import pytest

from grpo_math import adapters
from grpo_math.formats import FORMATS, get_format
from grpo_math.rewards import margin, proximity, reward_set

FILE = Path(adapters.__file__)
PROMPT = "<|im_start|>user\nWhat is 6 * 7? Put it in \\boxed{}, as in \\boxed{1}.<|im_end|>\n<|im_start|>assistant\n"


def by_path(name: str = "custom_module") -> types.ModuleType:
    """The adapters, loaded from their file and not entered in `sys.modules`, as verl and OpenRLHF do."""
    spec = importlib.util.spec_from_file_location(name, FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def through_verl(format: str, completions: list[str], golds: list) -> list[float]:
    """verl 0.9.1: experimental/reward_loop/reward_manager/naive.py, with the keywords that trainer/ppo/reward.py merges in."""
    compute_score, scores = by_path().compute_score, []
    for completion, gold in zip(completions, golds, strict=True):
        call = {"data_source": "maths", "solution_str": completion, "ground_truth": gold}
        call |= {"extra_info": {"index": 0, "num_turns": None, "rollout_reward_scores": {}}}
        call |= {"reward_router_address": "127.0.0.1:1", "reward_model_tokenizer": None}
        scores.append(compute_score(**{**call, "format": format})["score"])
    return scores


def through_openrlhf(format: str, completions: list[str], golds: list) -> list[float]:
    """OpenRLHF 0.11.2: utils/agent.py, one completion a call, in a thread; trainer/ppo_utils/samples_generator.py reads it."""
    torch = pytest.importorskip("torch")
    reward_func, scores = by_path("reward_func").make_reward_func(format), []
    for completion, gold in zip(completions, golds, strict=True):
        query = PROMPT + completion + "<|im_end|>"  # decoded with its special tokens
        info = asyncio.run(asyncio.to_thread(reward_func, [query], [PROMPT], [gold]))
        rewards = torch.tensor([info["rewards"]])
        assert rewards.shape == (1,) and torch.tensor([info["scores"]]).item() in (0.0, 1.0)
        assert all(isinstance(value.flatten()[0].item(), float) for value in info["extra_logs"].values())
        scores.append(rewards.item())
    return scores


def through_verifiers_rubric(format: str, completions: list[str], golds: list) -> list[float]:
    """verifiers 0.1.14: rubrics/rubric.py; everything is passed to a function that takes **kwargs, and made a float."""
    functions, scores = by_path().rubric_functions(format), []
    for completion, gold in zip(completions, golds, strict=True):
        messages = [{"role": "user", "content": "6 * 7?"}], [{"role": "assistant", "content": completion}]
        objects = {"prompt": messages[0], "completion": messages[1], "answer": gold, "state": {}, "info": {}, "task": None}
        for function in functions:  # not taken for functions of a whole group, which are known by their parameters
            assert not set(inspect.signature(function).parameters) & {"completions", "answers", "states", "prompts"}
        scores.append(sum(float(function(**objects, parser=None)) for function in functions))
    return scores


def through_verifiers_task(format: str, completions: list[str], golds: list) -> list[float]:
    """verifiers 0.4.0: v1/utils/decorators.py and v1/task.py; awaited together, arguments by name, a mapping is recorded."""
    reward, scores = by_path().make_reward(format), []
    for completion, gold in zip(completions, golds, strict=True):
        there = {"task": types.SimpleNamespace(answer=gold), "trace": types.SimpleNamespace(last_reply=completion.strip())}
        arguments = {name: there[name] for name in inspect.signature(reward).parameters}

        async def gathered(arguments=arguments):
            return await asyncio.gather(reward(**arguments))

        [result] = asyncio.run(gathered())
        scores.append(sum(float(value) for value in result.values()))
    return scores


def through_swift(format: str, completions: list[str], golds: list) -> list[float]:
    """ms-swift 4.6.0: rlhf_trainers/utils.py makes the instances, rl_core/grpo_algorithm.py calls them with whole columns."""
    classes = by_path().make_orms(format)
    functions = [made(args=types.SimpleNamespace(seed=0)) for made in classes.values()]
    rows = {"solution": golds, "messages": [[]] * len(golds), "is_truncated": [False] * len(golds)}
    columns = [function(completions, trainer_state=None, **rows) for function in functions]
    paid = [[math.nan if value is None else value for value in column] for column in columns]
    return [sum(value for value in row if not math.isnan(value)) for row in zip(*paid, strict=True)]


FRAMEWORKS = {
    "verl": through_verl,
    "openrlhf": through_openrlhf,
    "verifiers-rubric": through_verifiers_rubric,
    "verifiers-task": through_verifiers_task,
    "swift": through_swift,
}
every_framework = pytest.mark.parametrize("through", FRAMEWORKS.values(), ids=FRAMEWORKS)
every_format = pytest.mark.parametrize("format", FORMATS)


def written(format: str, answer: str) -> str:
    fmt = get_format(format)
    return fmt.render_target("6 * 7 = 42.", answer).removeprefix(fmt.reasoning_start)


def trl_sum(format: str, completions: list[str], golds: list) -> list[float]:
    """What TRL adds up: the functions as they are."""
    columns = [function(completions, answer=golds) for function in reward_set(get_format(format))]
    return [sum(value for value in row if value is not None) for row in zip(*columns, strict=True)]


@every_framework
@every_format
def test_a_right_answer_earns_more_and_the_order_is_kept(through, format):
    answers = ["42", "41", r"\frac{84}{2}", "43"]
    completions = [written(format, answer) for answer in answers]
    scores = through(format, completions, ["42"] * 4)
    assert scores == trl_sum(format, completions, ["42"] * 4) == [4.5, 1.5, 4.5, 1.5]
    assert min(scores[0], scores[2]) - max(scores[1], scores[3]) >= margin(reward_set(get_format(format)))


@every_framework
def test_each_completion_has_its_own_gold(through):
    completions = [written("boxed", answer) for answer in ("1", "2", "3")]
    assert through("boxed", completions, ["1", "3", "3"]) == [4.5, 1.5, 4.5]


WEIRD = ["", " ", "\0", r"\boxed{", r"\boxed{}" * 9, "<SOLUTION>" * 500, "\ud83d", "42", "<|im_end|>", "9" * 5000, "{" * 20_000]


@every_framework
@every_format
def test_weird_output_gets_a_finite_score_below_a_right_answer(through, format):
    scores = through(format, WEIRD, ["42"] * len(WEIRD))
    assert all(type(score) is float and math.isfinite(score) for score in scores)
    assert max(scores) < through(format, [written(format, "42")], ["42"])[0]


@pytest.mark.parametrize("name", [name for name in FRAMEWORKS if name != "swift"])
@pytest.mark.parametrize("gold", ["", None], ids=repr)
def test_an_ungradable_gold_pays_every_completion_the_same_and_is_said_once(name, gold, caplog):
    completions = [written("boxed", "42"), "no form at all", ""]
    with caplog.at_level(logging.WARNING, logger="grpo_math.adapters"):
        assert FRAMEWORKS[name]("boxed", completions, [gold] * 3) == [0.0] * 3
    [said] = [record.getMessage() for record in caplog.records if record.name == "grpo_math.adapters"]
    assert repr(gold) in said and "check_golds" in said


def test_swift_leaves_an_ungradable_gold_to_the_framework_as_trl_does():
    classes = by_path().make_orms("boxed")
    assert classes["grpo_math_correctness"]()([written("boxed", "42")], solution=[""]) == [None]
    assert through_swift("boxed", [written("boxed", "42")], [""]) == trl_sum("boxed", [written("boxed", "42")], [""]) == [1.5]


def test_a_gold_that_is_a_table_is_refused():
    with pytest.raises(TypeError, match="A gold answer is a text, a number or a list of alternatives, not dict"):
        through_verl("boxed", [written("boxed", "42")], [{"target": "42"}])


def test_a_gold_may_be_a_number_or_a_list_of_alternatives():
    assert through_verl("boxed", [written("boxed", "42")] * 4, [42, 42.0, ["7", "42"], ("7",)]) == [4.5, 4.5, 4.5, 1.5]


class TestVerl:
    def test_every_row_has_the_same_keys_and_floats(self):
        compute_score = by_path().compute_score
        rows = [compute_score("maths", text, gold) for text, gold in ((written("boxed", "42"), "42"), ("", "42"), ("", ""))]
        assert [list(row) for row in rows] == 3 * [["score", "acc", "correctness", "exact_format", "approximate_format"]]
        assert {type(value) for row in rows for value in row.values()} == {float}
        assert [row["acc"] for row in rows] == [1.0, 0.0, 0.0]

    def test_reward_kwargs_choose_the_set(self):
        compute_score = by_path().compute_score
        row = compute_score("maths", written("tags", "41"), "42", None, format="tags", rewards="graded")
        assert row["proximity"] == pytest.approx(1 - 1 / 42) and row["acc"] == 0.0
        with pytest.raises(ValueError, match="There is no format 'tag'; choose one of"):
            compute_score("maths", "", "42", format="tag")


class TestOpenRlhf:
    module = by_path()

    @pytest.mark.parametrize("before", ["", "<s>"])
    @pytest.mark.parametrize("end", ["", "<|endoftext|>", "</s>", "<|im_end|>\n"])
    def test_the_prompt_and_the_last_token_are_taken_off(self, before, end):
        assert self.module.completion_of(before + PROMPT + "work" + end, PROMPT) == "work"

    def test_a_prompt_without_its_beginning(self):
        prompt = "A long story. " * 50 + PROMPT
        assert self.module.completion_of(prompt[300:] + "work", prompt) == "work"

    def test_marks_of_the_form_stay(self):
        for format in FORMATS:
            assert self.module.completion_of(PROMPT + written(format, "42"), PROMPT) == written(format, "42")

    def test_a_query_without_its_prompt_is_refused(self):
        with pytest.raises(ValueError, match="does not hold the end of its prompt"):
            self.module.completion_of("Another text", PROMPT)
        assert self.module.completion_of("work", "") == "work"

    def test_a_batch_gives_tensors_of_its_length(self):
        pytest.importorskip("torch")
        queries = [PROMPT + written("boxed", answer) for answer in ("42", "41", "42")]
        info = self.module.reward_func(queries, [PROMPT] * 3, ["42", "42", ""])
        assert info["rewards"].tolist() == [4.5, 1.5, 0.0] and info["scores"].tolist() == [1.0, 0.0, 0.0]
        assert info["extra_logs"]["correctness"].tolist() == [3.0, 0.0, 0.0]


class TestVerifiers:
    module = by_path()

    def test_messages_as_objects(self):
        class Message:  # as verifiers' own messages: an object with `get`
            def get(self, key, default=None):
                return {"role": "assistant", "content": written("xml", "42")}.get(key, default)

        assert [f([Message()], "42") for f in self.module.rubric_functions("xml")] == [3.0, 1.0, 0.5]

    @pytest.mark.parametrize("completion", [[], None, [{"role": "assistant", "content": None}], "text"], ids=repr)
    def test_completions_without_content(self, completion):
        assert [f(completion, "42") for f in self.module.rubric_functions()] == [0.0, 0.0, -0.5]

    def test_names_and_own_functions(self):
        functions = self.module.rubric_functions("tags", [*reward_set(get_format("tags")), proximity(get_format("tags"))])
        assert [f.__name__ for f in functions] == ["correctness", "exact_format", "approximate_format", "proximity"]

    def test_a_task_without_an_answer_is_named(self):
        with pytest.raises(ValueError, match="SimpleNamespace has no field 'answer'"):
            asyncio.run(self.module.reward(types.SimpleNamespace(), types.SimpleNamespace(last_reply="")))


class TestSwift:
    def test_the_plugin_registers_what_reward_funcs_can_name(self, monkeypatch):
        orms = {"accuracy": object}
        rewards = types.ModuleType("swift.rewards")
        rewards.orms = orms
        monkeypatch.setitem(sys.modules, "swift", types.ModuleType("swift"))
        monkeypatch.setitem(sys.modules, "swift.rewards", rewards)
        plugin = by_path("_swift_external_0")
        assert list(orms) == ["accuracy", "grpo_math_correctness", "grpo_math_exact_format", "grpo_math_approximate_format"]
        assert plugin.register("tags", "graded")[-1] == "grpo_math_proximity" in orms
        made = orms["grpo_math_correctness"](args=None)  # of the last call
        assert made([written("tags", "42")], solution=["42"]) == [3.0]
        assert type(made).__name__ == "grpo_math_correctness"  # the name under which ms-swift logs it


def test_loading_by_path_imports_no_framework_and_no_torch():
    code = f"import importlib.util as u, sys; s = u.spec_from_file_location('m', {str(FILE)!r}); "
    heavy = "('torch', 'transformers', 'trl', 'verl', 'openrlhf', 'verifiers', 'swift', 'sympy', 'pandas', 'datasets')"
    code += f"s.loader.exec_module(u.module_from_spec(s)); print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_no_file_hides_a_framework():
    """ms-swift puts the folder of a plugin first on sys.path, and processes that it starts have it there too."""
    beside = {path.stem for path in FILE.parent.iterdir()}
    assert "adapters" in beside
    frameworks = {"verl", "openrlhf", "verifiers", "swift", "torch", "ray", "trl", "peft", "vllm"}
    assert not beside & (frameworks | sys.stdlib_module_names)


class TestInstalled:
    """The same through the framework's own code, where it is installed."""

    completions, golds = [written("boxed", "42"), written("boxed", "41")], ["42", "42"]

    def test_verl(self):
        load = pytest.importorskip("verl.trainer.ppo.reward", reason="verl is not installed")
        settings = importlib.import_module("omegaconf").OmegaConf.create
        for path in (str(FILE), "pkg://grpo_math.adapters"):
            custom = {"path": path, "name": "compute_score", "reward_kwargs": {"format": "boxed"}}
            score = load.get_custom_reward_fn(settings({"reward": {"custom_reward_function": custom}}))
            calls = [{"solution_str": c, "ground_truth": g} for c, g in zip(self.completions, self.golds, strict=True)]
            assert [score(data_source="maths", extra_info={}, **call)["score"] for call in calls] == [4.5, 1.5]

    def test_openrlhf(self):
        agent = pytest.importorskip("openrlhf.utils.agent", reason="OpenRLHF is not installed")
        executor = agent.SingleTurnAgentExecutor(str(FILE))
        queries = [PROMPT + completion + "<|im_end|>" for completion in self.completions]
        infos = asyncio.run(executor._fetch_rewards_via_func(queries, [PROMPT] * 2, self.golds))
        assert [info["rewards"].item() for info in infos] == [4.5, 1.5]

    def test_verifiers_task(self):
        vf = pytest.importorskip("verifiers.v1", reason="verifiers 0.4 is not installed")
        if not hasattr(vf, "TaskData"):
            pytest.skip("verifiers is older than 0.4")

        class Data(vf.TaskData):
            answer: str

        class Task(vf.Task[Data]):
            pass

        plugged = {"grpo_math": {"fn": "grpo_math.adapters:reward"}}  # as a config file has it
        task = Task(Data(prompt="6 * 7?", answer="42"), vf.TaskConfig(rewards=plugged))
        parts = dict.fromkeys(("nodes", "calls", "errors"), []) | {"task": None, "agent": None, "info": {}}
        for completion, score in zip(self.completions, (4.5, 1.5), strict=True):
            trace = vf.Trace.model_construct(root_reply=completion, rewards={}, metrics={}, **parts)
            asyncio.run(task.score(trace))
            assert trace.reward == score and list(trace.rewards) == ["correctness", "exact_format", "approximate_format"]

    def test_verifiers_rubric(self):
        rubrics = pytest.importorskip("verifiers.rubrics.rubric", reason="verifiers before 0.2 is not installed")
        rubric = rubrics.Rubric(funcs=by_path().rubric_functions("boxed"))
        assert not rubric.has_group_rewards
        for completion, score in zip(self.completions, (4.5, 1.5), strict=True):
            state = {"prompt": [], "completion": [{"role": "assistant", "content": completion}], "answer": "42", "info": {}}
            paid = [asyncio.run(rubric._call_individual_reward_func(function, state)) for function in rubric.funcs]
            assert sum(paid) == score

    def test_swift(self):
        pytest.importorskip("swift.rewards", reason="ms-swift is not installed")
        from swift.rl_core.data import GRPOSample
        from swift.rl_core.grpo_algorithm import compute_rewards_per_func
        from swift.rlhf_trainers.utils import resolve_reward_funcs
        from swift.utils.utils import import_external_file

        import_external_file(str(FILE))
        functions, names = resolve_reward_funcs(["grpo_math_correctness", "grpo_math_exact_format"], args=None)
        rows = zip(self.completions, ["42", ""], strict=True)
        samples = [GRPOSample(messages=[{"role": "assistant", "content": c}], extra={"solution": g}) for c, g in rows]
        paid = compute_rewards_per_func(samples, functions, None, device="cpu")
        assert names == ["grpo_math_correctness", "grpo_math_exact_format"]
        assert paid[0].tolist() == [3.0, 1.0] and paid[1, 0].isnan() and paid[1, 1] == 1.0
