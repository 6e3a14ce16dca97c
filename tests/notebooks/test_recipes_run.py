"""Each reference recipe and each kind of model through all of the stages: the notebooks, a loopback hub, tiny random models.

The hub serves random models of the real architectures under the real names, and rows of our own in the real schemas.
"""

import shutil
from pathlib import Path

import papermill
import public_rows
import pytest
from families import FAMILIES
from hub import Hub
from run_notebooks import NAMES

from grpo_lab import recipes, report

ROOT = Path(__file__).parents[2]
REFERENCE = [name for name in recipes.RECIPES if name != "tiny"]
pytestmark = pytest.mark.slow


def write_models(folder: Path) -> None:
    """A small random model for each base, with the tiny base's tokenizer, which knows the marks of a chat."""
    import torch
    from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "tiny-base")
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4}
    shape |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": len(tokenizer), "tie_word_embeddings": True}
    shape |= {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    for base in {recipes.get_recipe(name).base_model for name in REFERENCE}:
        torch.manual_seed(0)
        qwen3 = "Qwen3" in base
        config = (Qwen3Config if qwen3 else Qwen2Config)(**shape, max_position_embeddings=2048)
        model = (Qwen3ForCausalLM if qwen3 else Qwen2ForCausalLM)(config)
        model.save_pretrained(folder / "models" / base)
        tokenizer.save_pretrained(folder / "models" / base)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    public_rows.write_hub(folder)
    public_rows.write_real_lengths(folder)
    write_models(folder)
    with Hub(folder) as hub:
        yield hub


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def run_notebooks(hub, home, tmp_path, monkeypatch):
    """`run_notebooks(recipe, model, backend)`: a trial through all of its notebooks, with what it must have made."""
    for folder in ("data", "notebooks"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    for variable, value in hub.environment(home).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)

    def run_them(name: str, model: str, backend: str) -> None:
        recipe = recipes.get_recipe(name)
        for notebook in NAMES if recipe.supervised else NAMES[1:]:
            parameters = {"RECIPE": name, "RUN": "a", "TRIAL": True, "MODEL": model, "BACKEND": backend}
            if not notebook.startswith("03"):
                parameters["TRACKER"] = "none"
            path = tmp_path / "notebooks" / f"{notebook}.ipynb"
            papermill.execute_notebook(path, tmp_path / "out.ipynb", parameters, cwd=path.parent, progress_bar=False)
        run = tmp_path / "results" / "a-trial"
        stages = [stage for stage in ("priming", "sft") if getattr(recipe, stage)] + ["grpo", "evaluation"]
        assert [line.split(",")[0] for line in (run / "stages.csv").read_text().splitlines()[1:]] == stages
        assert report.checkpoints_of(run) == (("base", "sft", "grpo") if recipe.supervised else ("base", "grpo"))
        assert (run / "grpo" / "adapter" / "adapter_model.safetensors").is_file()

    return run_them


@pytest.mark.parametrize("backend", ["peft", "auto"])
@pytest.mark.parametrize("name", REFERENCE)
def test_a_recipe_runs_through_all_of_its_stages(name, backend, run_notebooks):
    run_notebooks(name, "", backend)


@pytest.mark.parametrize("backend", ["peft", "auto"])
@pytest.mark.parametrize("family", FAMILIES)
def test_any_model_runs_through_all_of_the_stages(family, backend, run_notebooks, tmp_path):
    FAMILIES[family].save(tmp_path / "models" / family)
    run_notebooks("qwen3-4b-dapo", f"models/{family}", backend)


@pytest.mark.parametrize("name", ["qwen2.5-0.5b-gsm8k", "tiny"])
def test_another_base_is_asked_its_question_alone_and_plainly(name, run_notebooks, tmp_path):
    FAMILIES["llama3-chat"].save(tmp_path / "models" / "llama")
    run_notebooks(name, "models/llama", "peft")


def test_each_notebook_on_a_fresh_machine_finds_in_the_mirror_what_the_one_before_made(tmp_path):
    for notebook in NAMES:
        machine = tmp_path / notebook
        for folder in ("data", "notebooks"):
            shutil.copytree(ROOT / folder, machine / folder)
        parameters = {"RECIPE": "tiny", "RUN": "a", "TRIAL": True, "MIRROR": str(tmp_path / "mirror"), "BACKEND": "peft"}
        if not notebook.startswith("03"):
            parameters["TRACKER"] = "none"
        path = machine / "notebooks" / f"{notebook}.ipynb"
        papermill.execute_notebook(path, machine / "out.ipynb", parameters, cwd=path.parent, progress_bar=False)
    stages = (tmp_path / "mirror" / "a-trial" / "stages.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in stages] == ["priming", "sft", "grpo", "evaluation"]
    assert report.checkpoints_of(machine / "results" / "a-trial") == ("base", "sft", "grpo")
