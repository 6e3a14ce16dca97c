"""Several seeds: what `make seeds` keeps of each, that it goes on where it was cut, and the tables that come of it."""

import json
from dataclasses import replace

import pytest
import seeds
from made_up_run import well_formed

from grpo_lab import records, report
from grpo_lab.report.seeds import controls_table, read_seeds, seeds_table, steps_sentence, strata_table
from grpo_math.stats import mean_interval

# Four problems of the test set in two strata, two twins, two problems of one kind of transfer.
ITEMS = "set,id,stratum,source\n" + "".join(
    f"{kind},{kind}-{n},{stratum},tiny/trip\n"
    for kind, strata in (("test", "2233"), ("twins", "22"), ("transfer", "55"))
    for n, stratum in enumerate(f"{steps} steps" for steps in strata)
)


def write_seed(folder, seed: int, **changes) -> None:
    verdicts = {
        "test": {"base": "1000", "sft": "1100", "grpo": "1110", "told": "1111"},
        "twins": {"base": "00", "sft": "11", "grpo": "00", "told": "10"},
        "transfer": {"base": "00", "sft": "10", "grpo": "11", "told": "11"},
        "false claims": {"base": "0111", "sft": "0011", "grpo": "0001", "told": "0000"},
        "sampled": {"base": {"k": 8, "items": 4, "avg_at_k": 0.25, "pass_at_k": 0.75, "maj_at_k": 0.5}},
        "cpu_s": {"priming": 1.0, "sft": 9.0, "grpo": 90.0, "told": 12.0},
    }
    found = {"seed": seed, "base": f"base-{seed % 2}", "recipe": "r", "commit": "c"} | verdicts | changes
    (folder / "items.csv").write_text(ITEMS)
    (folder / f"seed-{seed}.json").write_text(json.dumps(found))


def test_each_seed_has_a_row_and_their_mean_an_interval(tmp_path):
    write_seed(tmp_path, 0)
    write_seed(tmp_path, 10, test={"base": "0000", "sft": "1100", "grpo": "1111"})
    write_seed(tmp_path, 1, test={"base": "1000", "sft": "1000", "grpo": "1110"})
    table = seeds_table(tmp_path)
    assert table["seed"].tolist() == ["0", "1", "10", "mean"] and table["base model"].tolist() == ["1", "2", "1", ""]
    assert table.iloc[0].tolist()[2:] == ["25.0%", "50.0% (+25.0, p = 1.000)", "75.0% (+25.0, p = 1.000)"]
    low, high = mean_interval([0.25, 0.5, 0.5])
    assert table.iloc[-1].tolist()[-1].endswith(f"; +41.7 (+{100 * low:.1f} to +{100 * high:.1f})")


def test_strata_are_means_over_seeds(tmp_path):
    write_seed(tmp_path, 0)
    write_seed(tmp_path, 1, test={"base": "1000", "sft": "1000", "grpo": "1100"})
    write_seed(tmp_path, 2, test={"base": "1000", "sft": "1100", "grpo": "1101"})
    table = strata_table(tmp_path).set_index("problems")
    assert table.index.tolist() == ["2 steps", "3 steps", "5 steps"] and table["number"].tolist() == ["2", "2", "2"]
    assert table.loc["2 steps"].tolist()[1:4] == ["50.0%", "83.3%", "100.0%"]
    assert table.loc["3 steps", "gain of GRPO"].startswith("+33.3 (")
    assert table.loc["5 steps", "gain of GRPO"] == "+50.0 (+50.0 to +50.0)"


def test_controls_stand_beside_the_result(tmp_path):
    write_seed(tmp_path, 0)
    table = controls_table(tmp_path).set_index("trained by")
    assert table["accuracy"].tolist() == ["50.0%", "50.0%", "100.0%", "75.0%"], "best of 8, SFT, told, GRPO; longer was not run"
    assert table.loc["SFT on the careful way alone"].tolist() == ["1", "100.0%", "0.0%", "50.0%", "12"]
    assert table.loc["SFT, then GRPO", "CPU seconds"] == "100"


def test_sound_steps_are_set_beside_grpo_seed_by_seed(tmp_path):
    write_seed(tmp_path, 0)
    assert steps_sentence(tmp_path) == ""
    for seed, (right, false) in enumerate((("1111", "0000"), ("1110", "0000"), ("1100", "0001"))):
        kinds = {"test": ({"base": "1000", "sft": "1100", "grpo": "1110"}, right)}
        kinds["false claims"] = ({"base": "0111", "sft": "0011", "grpo": "0011"}, false)
        write_seed(tmp_path, seed, **{kind: of | {"steps": digits} for kind, (of, digits) in kinds.items()})
    told = steps_sentence(tmp_path)
    assert told.startswith("Over 3 seeds,") and "accuracy by +0.0 (" in told and "with a false claim by -41.7 (" in told


# name: (what a seed's file holds instead, words of the message)
BAD_SEEDS = {
    "another recipe": ({"recipe": "other"}, "different recipes"),
    "too few verdicts": ({"twins": {"base": "0"}}, "seed-1.json: base has not one 0 or 1 for each of the 2 items"),
    "no verdict": ({"test": {"base": "10x0"}}, "seed-1.json: base has not"),
}


@pytest.mark.parametrize(("changes", "words"), BAD_SEEDS.values(), ids=BAD_SEEDS)
def test_what_is_wrong_with_a_seed_is_said(changes, words, tmp_path):
    write_seed(tmp_path, 0)
    write_seed(tmp_path, 1, **changes)
    with pytest.raises(ValueError, match=words):
        read_seeds(tmp_path)


def test_without_seeds_the_command_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="run `make seeds` first"):
        read_seeds(tmp_path)


def write_part(run, name: str, sets=("", "twins-", "transfer-"), right: bool = True) -> None:
    for prefix in sets:
        rows = [well_formed(n, name, right) | {"id": f"{prefix}{n}", "stratum": "2 steps", "source": "tiny/trip"} for n in (0, 1)]
        records.write_jsonl(run / "samples" / f"{prefix}{name}.jsonl", rows)


@pytest.fixture
def campaign(tmp_path, monkeypatch):
    """Seeds that train nothing: what was asked for, in order."""
    asked = []

    def train_notebooks(run, seed, base):
        asked.append(("notebooks", run.name, seed, base))
        for name in ("base", "sft", "grpo"):
            write_part(run, name)

    def train_control(run, name, seed, base):
        asked.append((name, run.name, seed, base))
        write_part(run, name, right=False)

    def train_steps(run, seed, base):
        train_control(run, "steps", seed, base)

    for function in (train_notebooks, train_control, train_steps):
        monkeypatch.setattr(seeds, function.__name__, function)

    def pretrain(plan, out):
        asked.append(("pretrain", plan.seed, out.name))
        write_base(out, "b" * 64)

    monkeypatch.setattr(seeds, "pretrain", pretrain)
    monkeypatch.setattr(seeds.runs, "project_root", lambda: tmp_path)
    write_base(tmp_path / "data" / "tiny-base", "a" * 64)
    return asked


def write_base(folder, sha256: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pretraining.json").write_text(json.dumps({"sha256": sha256}))


def test_a_campaign_goes_on_where_it_was_cut(campaign, tmp_path, monkeypatch):
    seeds.measure_seed(0)
    assert campaign == [(part, "tiny", 0, "data/tiny-base") for part in ("notebooks", "told", "longer", "steps")]
    path = tmp_path / "results" / "tiny-seeds" / "seed-0.json"
    whole = json.loads(path.read_text())
    assert whole["test"] == {"base": "11", "sft": "11", "grpo": "11", "told": "00", "longer": "00", "steps": "00"}
    assert (path.parent / "items.csv").read_text().count("2 steps") == 6

    cut = {kind: {name: text for name, text in whole[kind].items() if name != "longer"} for kind in seeds.SETS}
    path.write_text(json.dumps(whole | cut))
    campaign.clear()
    seeds.measure_seed(0)
    assert campaign == [("longer", "tiny", 0, "data/tiny-base")] and json.loads(path.read_text())["test"] == whole["test"]

    seeds.measure_seed(1)
    assert campaign[1:3] == [("pretrain", 1, "tiny-base-1"), ("notebooks", "tiny-seed-1", 1, "results/tiny-base-1")]

    said = "seed-0.json was measured with another recipe or base: delete results/tiny-seeds/"
    write_base(tmp_path / "data" / "tiny-base", "c" * 64)
    with pytest.raises(ValueError, match=said):
        seeds.measure_seed(0)
    write_base(tmp_path / "data" / "tiny-base", "a" * 64)
    monkeypatch.setattr(seeds, "TINY", replace(seeds.TINY, max_number=7))
    with pytest.raises(ValueError, match=said):
        seeds.measure_seed(0)


def test_strata_of_one_run(tmp_path):
    for name, verdicts in (("base", "1000"), ("sft", "1100"), ("grpo", "1111")):
        rows = [well_formed(n, name, verdict == "1") | {"stratum": f"{2 + n // 2} steps"} for n, verdict in enumerate(verdicts)]
        records.write_jsonl(tmp_path / "samples" / f"{name}.jsonl", rows)
    lines = report.strata_markdown(tmp_path).splitlines()
    assert lines[2].startswith("| 2 steps | 2 | 50.0% | 100.0% | 100.0% | +50.0 (")
    assert lines[3].startswith("| 3 steps | 2 | 0.0% | 0.0% | 100.0% |")
    assert len(lines) == 4, "no problems of another kind were measured"


def test_a_gain_is_compared_within_the_same_kind_of_problem(tmp_path):
    """Flagged problems gain more, but only because they are of the stratum that gains: within each there is no difference."""
    verdicts = {"base": [False] * 8, "sft": [False] * 8, "grpo": [True, True, True, True, False, True, False, True]}
    strata = ["easy"] * 4 + ["hard"] * 4
    for name, right in verdicts.items():
        rows = [well_formed(n, name, right[n]) | {"source": "tiny/trip", "stratum": strata[n]} for n in range(8)]
        records.write_jsonl(tmp_path / "samples" / f"{name}.jsonl", rows)
    assert report.contamination_markdown(tmp_path) == "", "nothing was flagged"
    found = {"measures": {"exact duplicate": 0}, "flagged": ["q000", "q001", "q002", "q004", "q005"]}
    (tmp_path / "contamination_sft.json").write_text(json.dumps(found))
    first, _, _, last = report.contamination_markdown(tmp_path).splitlines()
    assert first.startswith("5 problems of 8 share wording") and first.endswith("none of them word for word.")
    assert last.startswith("- **+ SFT → + GRPO**: +80.0 points on these, +66.7 on the others; ")
    assert "; within the same source and stratum +0.0 " in last
