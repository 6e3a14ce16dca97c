"""Every keyword that the package or a notebook passes to a library is one that the installed library accepts.

The calls are read from the source, not run: a call counts where the file's imports lead its function to one of LIBRARIES.
Methods of objects (`trainer.train`, `model.generate`) are left to the tests that run them. Unsloth is read from its files too,
because its import patches TRL and, without a GPU, shows other classes than a GPU would.
"""

import ast
import importlib
import importlib.util
import inspect
import json
import pkgutil
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest

from grpo_lab import mirror, training
from grpo_lab.recipes import RECIPES

ROOT = Path(__file__).parents[2]
FILES = [path for top in ("src", "notebooks") for path in sorted((ROOT / top).rglob("*")) if path.suffix in (".py", ".ipynb")]
LIBRARIES = {"trl", "peft", "transformers", "datasets", "accelerate", "unsloth", "vllm", "huggingface_hub", "wandb"}
OPTIONAL = {"vllm"}  # installed on request only; every other library must be there

# Where a function hands its **kwargs on to; their keywords count as its own.
FORWARDS = {
    "transformers.AutoModelForCausalLM.from_pretrained": ("transformers.PreTrainedModel.from_pretrained",),
    "transformers.AutoTokenizer.from_pretrained": (
        "transformers.PreTrainedTokenizerBase.from_pretrained",
        "transformers.PreTrainedTokenizerFast",
    ),
    "transformers.PreTrainedTokenizerFast": ("transformers.PreTrainedTokenizerBase",),
    "vllm.LLM": ("vllm.EngineArgs",),
}
# The definitions behind Unsloth's front on a GPU: file and class in the installed package.
UNSLOTH = {
    "unsloth.FastLanguageModel.from_pretrained": ("models/loader.py", "FastLanguageModel"),
    "unsloth.FastLanguageModel.get_peft_model": ("models/llama.py", "FastLlamaModel"),
}
READ_FROM_KWARGS = re.compile(r"""kwargs(?:\.(?:pop|get|setdefault)\(\s*|\[)["'](\w+)["']""")


@dataclass(frozen=True)
class Call:
    """A call of a library's function: where it stands, whose it is, and the keywords that it passes."""

    where: str
    function: str
    keywords: frozenset[str]


def source_of(path: Path) -> str:
    """Python source; of a notebook its code cells, without the lines that are for IPython."""
    if path.suffix == ".py":
        return path.read_text()
    cells = [cell["source"] for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"(?m)^[%!].*$", "", "\n".join("".join(source) for source in cells))


def origins(tree: ast.AST) -> dict[str, str]:
    """What each imported name stands for, imports inside functions included: {"np": "numpy", "load": "datasets.load"}."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.asname and alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return {name: origin or name for name, origin in names.items()}


def resolve(function: ast.expr, names: dict[str, str]) -> str | None:
    """The dotted name of a called function by the imports, None for what was not imported."""
    if isinstance(function, ast.Attribute):
        owner = resolve(function.value, names)
        return owner and f"{owner}.{function.attr}"
    return names.get(function.id) if isinstance(function, ast.Name) else None


def dict_keys(tree: ast.AST) -> set[str]:
    return {
        key.value for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys if isinstance(key, ast.Constant)
    }


def unpacked(value: ast.expr, tree: ast.AST) -> set[str]:
    """The keys that `**value` can bring: of a dict by its name, or of a function of the same file that returns one.

    ValueError where none can be read, so that no keyword gets past the check.
    """
    keys, name = dict_keys(value), getattr(value.func if isinstance(value, ast.Call) else value, "id", None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in (part for whole in node.targets for part in getattr(whole, "elts", [whole])):
                if isinstance(target, ast.Name) and target.id == name:
                    keys |= dict_keys(node.value)
                elif isinstance(target, ast.Subscript) and getattr(target.value, "id", None) == name:
                    keys.add(ast.literal_eval(target.slice))
        elif isinstance(node, ast.FunctionDef) and node.name == name:
            keys |= {key for part in ast.walk(node) if isinstance(part, ast.Return) for key in dict_keys(part)}
    if not keys:
        raise ValueError(f"line {value.lineno}: no keys are found for **{ast.unparse(value)}; pass a dict literal of this file.")
    return keys


def calls_in(source: str, where: str) -> Iterator[Call]:
    """The calls of LIBRARIES in a source."""
    tree = ast.parse(source)
    names = origins(tree)
    for node in ast.walk(tree):
        function = resolve(node.func, names) if isinstance(node, ast.Call) else None
        if function and function.split(".")[0] in LIBRARIES:
            functions = (arguments for arguments in ast.walk(tree) if isinstance(arguments, ast.arguments))
            passed_on = {arguments.kwarg.arg for arguments in functions if arguments.kwarg}  # the callers' own, tested below
            known = [keyword for keyword in node.keywords if getattr(keyword.value, "id", None) not in passed_on]
            keywords = [{keyword.arg} if keyword.arg else unpacked(keyword.value, tree) for keyword in known]
            yield Call(f"{where}:{node.lineno}", function, frozenset().union(*keywords))


def parameters_of_unsloth(file: str, owner: str, method: str) -> frozenset[str]:
    """The parameters of a method in the installed Unsloth, which is found but not imported."""
    folder = importlib.util.find_spec("unsloth").submodule_search_locations[0]
    classes = [node for node in ast.walk(ast.parse((Path(folder) / file).read_text())) if isinstance(node, ast.ClassDef)]
    body = next(node.body for node in classes if node.name == owner)
    arguments = next(node.args for node in body if isinstance(node, ast.FunctionDef) and node.name == method)
    return frozenset(argument.arg for argument in arguments.args + arguments.kwonlyargs)


@cache
def accepted(function: str) -> frozenset[str]:
    """The keywords that a function knows: its parameters and, where it takes **kwargs, what it reads from them or hands on."""
    if function.startswith("unsloth."):
        return parameters_of_unsloth(*UNSLOTH[function], function.rsplit(".", 1)[1])
    found = pkgutil.resolve_name(function)  # fails where the library or the name is missing
    parameters = inspect.signature(found).parameters.values()
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    if len(known) < len(parameters):
        body = textwrap.dedent(inspect.getsource(found.__init__ if inspect.isclass(found) else found))
        known |= set(READ_FROM_KWARGS.findall(body)).union(*map(accepted, FORWARDS.get(function, ())))
    return frozenset(known)


def unknown(call: Call) -> list[str]:
    """The keywords of a call that its function does not know. A missing library skips only where it is OPTIONAL."""
    library = call.function.split(".")[0]
    if library in OPTIONAL and not importlib.util.find_spec(library):
        pytest.skip(f"{library} is not installed, so the keywords of {call.function} ({call.where}) are not checked")
    return sorted(call.keywords - accepted(call.function))


CALLS = [call for path in FILES for call in calls_in(source_of(path), path.name) if call.keywords]
for call in CALLS:
    if call.function.startswith("trl."):
        accepted(call.function)  # read while tests are collected, because a test that imports Unsloth patches TRL


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.where}-{call.function}")
def test_every_keyword_is_accepted(call):
    assert not unknown(call), f"{call.where}: {call.function} does not accept {unknown(call)}"


def test_the_calls_that_matter_are_found():
    found = {}
    for call in CALLS:
        found[call.function] = found.get(call.function, frozenset()) | call.keywords
    expected = {
        "trl.GRPOConfig": {"loss_type", "bf16", "optim"},  # its own, one of device_args(), one of COMMON
        "trl.SFTConfig": {"max_length", "bf16", "optim"},
        "trl.GRPOTrainer": {"reward_funcs", "processing_class"},
        "transformers.AutoModelForCausalLM.from_pretrained": {"dtype", "quantization_config", "device_map"},
        "transformers.BitsAndBytesConfig": {"bnb_4bit_compute_dtype"},
        "unsloth.FastLanguageModel.from_pretrained": {"max_seq_length", "load_in_4bit"},
        "unsloth.FastLanguageModel.get_peft_model": {"r", "random_state"},
        "peft.LoraConfig": {"r", "lora_alpha"},
        "datasets.load_dataset": {"split"},
        "wandb.init": {"project"},
    }
    missing = {name: keywords - found.get(name, set()) for name, keywords in expected.items()}
    assert not any(missing.values()), missing


@pytest.mark.parametrize("function", sorted({call.function for call in CALLS if call.function.split(".")[0] not in OPTIONAL}))
def test_a_made_up_keyword_is_refused(function):
    assert unknown(Call("here", function, frozenset({"made_up"}))) == ["made_up"]


WRITINGS = {
    "by name": "from trl import GRPOConfig\nGRPOConfig(seed=1, made_up=1)",
    "by module": "import trl\ntrl.GRPOConfig(seed=1, made_up=1)",
    "by another name": "import trl.trainer as t\nt.GRPOConfig(made_up=1)",
    "imported in a function": "def f():\n    from unsloth import FastLanguageModel as M\n    M.get_peft_model(1, r=1, made_up=1)",
    "through a dict": "from trl import GRPOConfig\nMORE = {'seed': 1, 'made_up': 1}\nGRPOConfig(**MORE)",
    "through a dict that grows": "from trl import SFTConfig\na, more = 1, {}\nmore['made_up'] = 1\nSFTConfig(**more)",
    "through a function": "from trl import SFTConfig\ndef more():\n    return {'made_up': 1}\nSFTConfig(**more())",
    "in a dict on the spot": "from peft import LoraConfig\nLoraConfig(**{'made_up': 1})",
}


@pytest.mark.parametrize("source", WRITINGS.values(), ids=WRITINGS)
def test_a_made_up_keyword_is_found_in_every_way_of_writing(source):
    (call,) = calls_in(source, "here")
    assert unknown(call) == ["made_up"]


def test_what_cannot_be_read_is_an_error():
    with pytest.raises(ValueError, match=r"line 2: no keys are found for \*\*settings; pass a dict literal of this file"):
        list(calls_in("from trl import GRPOConfig\nGRPOConfig(**settings)", "here"))
    with pytest.raises(ModuleNotFoundError):
        accepted("no_such_library.Config")


def test_a_missing_library_skips_only_where_it_is_optional(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="vllm is not installed"):
        unknown(Call("here", "vllm.LLM", frozenset({"model"})))
    with pytest.raises(AttributeError):  # nothing is found, so nothing can be read
        accepted.__wrapped__("unsloth.FastLanguageModel.from_pretrained")


@pytest.mark.parametrize("name", RECIPES)
def test_the_trainers_take_every_value_of_a_recipe(name, tmp_path):
    recipe = RECIPES[name]
    config = training.grpo_config(recipe, tmp_path, 0)
    assert (config.loss_type, config.scale_rewards) == (recipe.grpo.loss_type, recipe.grpo.scale_rewards)
    assert_enumerated(config)
    for stage in filter(None, (recipe.priming, recipe.sft)):
        assert training.sft_config(recipe, stage, tmp_path, 0).max_length == recipe.max_length


def test_the_trainers_take_what_tracker_and_mirror_hand_on(tmp_path):
    tree = ast.parse((ROOT / "src" / "grpo_lab" / "tracking.py").read_text())
    assignments = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    assigned = [node.value for node in assignments if "trainer_args" in ast.dump(node.targets[0])]
    hub = object.__new__(mirror._HubMirror)
    hub._stages = {"grpo": "owner/name-run-grpo"}
    keywords = set(hub.trainer_args("grpo")).union(*map(dict_keys, assigned))
    assert {"report_to", "run_name", "hub_strategy"} <= keywords
    for config in ("trl.SFTConfig", "trl.GRPOConfig"):
        assert unknown(Call("stage.trainer_args", config, frozenset(keywords))) == []


def assert_enumerated(config) -> None:
    """TRL reads these two only while it trains: each value must be one that its trainer compares with."""
    trainer = inspect.getsource(importlib.import_module("trl.trainer.grpo_trainer"))
    for field in ("loss_type", "scale_rewards"):
        compared = " ".join(re.findall(rf"self\.{field} (?:==|in) (\[.*?\]|\".*?\")", trainer))
        assert f'"{getattr(config, field)}"' in compared, f"{field}={getattr(config, field)!r} is none of {compared}"


@pytest.mark.parametrize("change", [{"loss_type": "made_up"}, {"scale_rewards": "made_up"}], ids=str)
def test_a_made_up_value_is_refused(change, tmp_path):
    recipe = replace(RECIPES["tiny"], grpo=replace(RECIPES["tiny"].grpo, **change))
    with pytest.raises(AssertionError, match="='made_up' is none of"):
        assert_enumerated(training.grpo_config(recipe, tmp_path, 0))
