"""The guards on made-up logs of each finding, on healthy ones, and on the logs of the reference run."""

from pathlib import Path

import pytest
from made_up_log import ILL, made_up_log

from grpo_lab.health import diagnose
from grpo_lab.recipes import TINY
from grpo_lab.records import read_metrics

RESULTS = Path(__file__).parents[2] / "results"


@pytest.mark.parametrize("name", ILL)
@pytest.mark.parametrize("seed", range(5))
def test_each_finding_is_found_and_no_other(name, seed):
    found = diagnose(made_up_log(seed=seed, **ILL[name]))
    assert [finding.name for finding in found] == [name]
    assert found[0].sign.endswith((".", "looks.")) and len(found[0].advice) > 20 and str(found[0]).startswith(found[0].sign)


@pytest.mark.parametrize("seed", range(20))
def test_a_healthy_run_has_none_at_any_step(seed):
    rows = made_up_log(seed=seed)
    assert [diagnose(rows[:n]) for n in range(len(rows) + 1)] == [[]] * (len(rows) + 1)


def test_hacking_is_found_without_held_out_accuracy_too():
    rows = made_up_log(**ILL["reward hacking"] | {"rewards/correctness/mean": lambda t: 1.5 - t})
    for row in rows:
        for name in ("eval_accuracy", "eval_low", "eval_high"):
            row.pop(name, None)
    assert [finding.name for finding in diagnose(rows)] == ["reward hacking"]


def test_accuracy_that_rose_and_fell_again_is_a_fall():
    rows = made_up_log(**ILL["reward hacking"] | {"eval_accuracy": lambda t: 0.5 + 0.4 * t if t < 0.8 else 0.4})
    assert [finding.name for finding in diagnose(rows)] == ["reward hacking"]


def test_a_form_that_is_learned_along_with_the_answers_is_healthy():
    assert diagnose(made_up_log(**{"rewards/exact_format/mean": ILL["reward hacking"]["rewards/exact_format/mean"]})) == []


def test_the_reference_run_is_healthy():
    rows = read_metrics(RESULTS / "tiny" / "grpo_metrics.csv")
    assert len(rows) == TINY.grpo.rollouts + 1 and diagnose(rows) == []


def test_a_run_that_has_just_begun_is_healthy():
    assert diagnose([]) == []
