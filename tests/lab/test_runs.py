"""Run folders and bad input: every mistake of a user gets one clear sentence, and nothing already made is lost."""

import json
import os
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import pytest

from grpo_lab import recipes, runs
from grpo_lab.host import Device


def make_checkpoint(stage_dir, step, complete=True):
    folder = stage_dir / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    if complete:
        (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


def test_unknown_recipe():
    with pytest.raises(ValueError, match="There is no recipe 'tinny'. Set RECIPE to one of: qwen2.5-0.5b-gsm8k, .*, tiny"):
        recipes.get_recipe("tinny")


def test_outside_a_clone(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not inside a clone of grpo-math"):
        runs.project_root(tmp_path)


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "a b"])
def test_a_run_name_that_is_no_folder_name(tmp_path, name):
    with pytest.raises(ValueError, match="is not a folder name: use letters"):
        runs.open_run(name, tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(PermissionError, match="Cannot write to .*free the folder or its disk, or choose another RUN"):
        runs.open_run("mine", tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path):
    (tmp_path / "results" / "mine").mkdir(parents=True, mode=0o500)
    with pytest.raises(PermissionError, match="Cannot write to"):
        runs.open_run("mine", tmp_path)


def test_a_notebook_started_before_its_predecessor(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"run notebooks/01_SFT_pre-tuning.ipynb with RUN = '{tmp_path.name}' first"):
        runs.require_adapter(tmp_path, "sft")


def test_latest_checkpoint_counts_and_passes_over_cut_off_ones(tmp_path):
    assert runs.latest_checkpoint(tmp_path) is None
    make_checkpoint(tmp_path, 9)
    newest = make_checkpoint(tmp_path, 10)  # not "9", which sorts last as text
    make_checkpoint(tmp_path, 20, complete=False)
    (make_checkpoint(tmp_path, 30) / "trainer_state.json").write_text('{"global_st')
    assert runs.latest_checkpoint(tmp_path) == newest


def test_settings_are_saved_with_their_environment(tmp_path):
    path = runs.save_config(tmp_path, "sft", {"recipe": recipes.TINY, "seed": 1})
    saved = json.loads(path.read_text())
    assert saved["settings"]["seed"] == 1 and {"torch", "trl", "commit", "python"} <= set(saved["environment"])


def test_a_function_is_kept_by_its_name_and_its_source():
    def judge(answer, gold):
        return answer == gold

    class Judge:
        def __call__(self, answer, gold):
            return answer == gold

    settings = {"checker": judge, "rewards": ("sound", partial(judge, gold="7"), partial(judge, gold="8"), Judge(), len)}
    first = runs.as_json(settings | {"recipe": recipes.TINY})
    names, digests = zip(*(kept.split() for kept in (first["checker"], *first["rewards"][1:])), strict=True)
    assert names == ("judge", "judge", "judge", "Judge", "len") and len(set(digests)) == 5
    assert runs.as_json({"rewards": (partial(judge, gold="7"), Judge())})["rewards"] == [first["rewards"][1], first["rewards"][3]]
    assert first["recipe"]["name"] == "tiny"

    def judge(answer, gold):
        return answer in gold

    assert runs.as_json({"checker": judge})["checker"] not in ("judge", first["checker"])


def test_a_stage_is_not_continued_under_other_settings(tmp_path):
    runs.save_config(tmp_path, "sft", {"seed": 0})
    runs.save_config(tmp_path, "sft", {"seed": 1})  # nothing trained yet: free to change
    make_checkpoint(tmp_path / "sft", 10)
    runs.save_config(tmp_path, "sft", {"seed": 1})
    with pytest.raises(
        ValueError, match=r"holds a SFT stage with another seed \(.* then, .* now\): choose another RUN, or delete"
    ):
        runs.save_config(tmp_path, "sft", {"seed": 2})
    assert json.loads((tmp_path / "sft_config.json").read_text())["settings"]["seed"] == 1


CHANGES = {  # name: (a recipe made of the first one, what is said of GRPO; None where it goes on)
    "more rollouts": (lambda r: replace(r, grpo=replace(r.grpo, rollouts=99)), None),
    "what fits at once": (lambda r: replace(r, grpo=replace(r.grpo, micro_batch=4)), None),
    "a smaller evaluation": (lambda r: replace(r, evaluation=replace(r.evaluation, problems=10)), None),
    "another SFT": (lambda r: replace(r, sft=replace(r.sft, examples=10)), None),
    "another rate": (
        lambda r: replace(r, grpo=replace(r.grpo, learning_rate=1.0)),
        r"another recipe.grpo.learning_rate \(5e-06 then, 1.0 now\)",
    ),
    "another card": (
        lambda r: recipes.for_device(r, Device("cuda", "L4", 22.0, (8, 9))),
        "another recipe.max_length .* HARDWARE = 'T4, 16 GB' takes the settings of the card",
    ),
    "another card of like settings": (lambda r: replace(r, hardware="another"), None),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_only_what_alters_learning_binds_a_stage(change, said, tmp_path):
    recipe = recipes.get_recipe("qwen3-4b-openr1")
    on_a_t4 = recipes.for_device(recipe, Device("cuda", "T4", 14.7, (7, 5)))
    runs.save_config(tmp_path, "grpo", {"recipe": on_a_t4})
    make_checkpoint(tmp_path / "grpo", 10)
    with pytest.raises(ValueError, match=said) if said else nullcontext():
        runs.save_config(tmp_path, "grpo", {"recipe": change(recipe if "card" in str(said) else on_a_t4)})


def test_the_clock_of_a_stage_that_goes_on_adds_to_what_it_took_before(tmp_path):
    def spend(stage, seconds):
        clock = runs.StageClock(tmp_path, stage)
        clock.wall -= seconds
        clock.save()
        return {row["stage"]: round(float(row["wall_s"])) for row in runs.read_stages(tmp_path)}

    assert spend("sft", 100) == {"sft": 100}
    assert spend("sft", 20) == {"sft": 20}, "begun afresh: nothing was kept"
    make_checkpoint(tmp_path / "sft", 10)
    assert spend("sft", 30) == {"sft": 50}
    assert spend("evaluation", 5) == {"sft": 50, "evaluation": 5}
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "base.jsonl.part").touch()
    assert spend("evaluation", 7) == {"sft": 50, "evaluation": 12}
    assert all(int(row["peak_memory_mb"]) > 1 and float(row["cpu_s"]) >= 0 for row in runs.read_stages(tmp_path))


def test_a_machine_without_git_has_an_unknown_commit(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert runs.describe_environment()["commit"] == "unknown"
