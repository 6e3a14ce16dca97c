"""The parts of the page that the scripts fill: forms to choose by, and the places for curves and completions."""

from html import escape

from grpo_lab.dashboard.curves import STAGES
from grpo_lab.report.browser import FLAG_NAMES, KINDS
from grpo_lab.report.html_parts import tag

SECTIONS = {"runs": "Runs", "curves": "Curves", "training": "Completions while training", "problems": "Checkpoints side by side"}
CHECKED = 7  # runs whose curves are drawn at first; as many as there are colours


def section_html(anchor: str, *inner: str) -> str:
    """One of SECTIONS, with its heading."""
    return tag("section", tag("h2", SECTIONS[anchor]), *inner, id=anchor)


def views_html(runs: list[dict]) -> str:
    """The three sections behind the runs, for runs as `read_run` gives them."""
    return _curves_html(runs) + _training_html(runs) + _problems_html(runs)


def _select(name: str, label: str, options: dict[str, str]) -> str:
    """A labelled list to choose from."""
    inner = "".join(tag("option", escape(text), value=value) for value, text in options.items())
    return tag("label", f"{label} ", tag("select", inner, name_=name))


def _input(kind: str, name: str, label: str, **attributes: str) -> str:
    told = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
    return tag("label", f'{label} <input type="{kind}" name="{name}"{told}>')


def _choice(kind: str, name: str, value: str, label: str, checked: bool) -> str:
    told = " checked" if checked else ""
    return tag("label", f'<input type="{kind}" name="{name}" value="{escape(value)}"{told}> {label}')


def _form_html(name: str, *rows: str) -> str:
    return tag("form", *(tag("fieldset", row) for row in rows), id=f"{name}-form")


def _curves_html(runs: list[dict]) -> str:
    boxes = "".join(
        _choice("checkbox", "runs", run["name"], _swatch_html(i, run["name"]), i < CHECKED) for i, run in enumerate(runs)
    )
    stages = [stage for stage in STAGES if any(stage in run["curves"] for run in runs)]
    radios = "".join(_choice("radio", "stage", stage, stage, stage == stages[0]) for stage in stages)
    slider = _input("range", "smooth", "Smoothing", min="1", max="31", step="2", value="5") + tag("output", id="smooth-told")
    form = _form_html("curves", tag("legend", "Runs") + boxes, tag("legend", "Stage") + radios, slider)
    told = (
        "Pale: every logged step. Strong: their centred moving mean. Point at a chart, touch it, or go to it with Tab and press "
        "← or →, to read its values."
    )
    return section_html("curves", tag("p", told), form, tag("div", id="charts"))


def _swatch_html(number: int, name: str) -> str:
    return tag("i", class_=f"swatch c{number % 7} d{number // 7 % 4}") + escape(name)


def _flag_options() -> dict[str, str]:
    flags = {flag: f"{flag} {name}" for flag, name in FLAG_NAMES.items()}
    return {"": "any or none", "some": "with a flag", "none": "without a flag", **flags, "cut": "cut off"}


def _training_html(runs: list[dict]) -> str:
    kept = {run["name"]: run["name"] for run in runs if run["training"]}
    if not kept:
        told = "No run here kept its completions: GRPO writes completions/step-*.jsonl while it trains."
        return section_html("training", tag("p", told))
    verdicts = {"": "right or wrong", "right": "right", "wrong": "wrong", "ungraded": "not graded"}
    first = _select("run", "Run", kept) + _select("step", "Step", {"": "all"}) + _select("verdict", "Answer", verdicts)
    second = _select("flag", "Flag", _flag_options()) + _reward_inputs() + _search("words")
    return section_html("training", _form_html("training", first, second), *_list_html("training"))


def _reward_inputs() -> str:
    return _input("number", "least", "Reward from", step="any") + _input("number", "most", "to", step="any")


def _search(name: str) -> str:
    return _input("search", name, "Search", placeholder="in question, completion and answer")


def _problems_html(runs: list[dict]) -> str:
    kept = {run["name"]: run["name"] for run in runs if run["problems"]}
    if not kept:
        return section_html("problems", tag("p", "No run here has been evaluated: notebook 03 writes samples/*.jsonl."))
    kinds = {"": "all", **KINDS}
    first = _select("problem-run", "Run", kept) + _select("pair", "From → to", {}) + _select("kind", "Became", kinds)
    second = _select("problem-flag", "Flag", _flag_options()) + _search("problem-words")
    return section_html("problems", _form_html("problems", first, second), *_list_html("problems"))


def _list_html(name: str) -> tuple[str, ...]:
    """What is here, how much of it fits, the list itself and its button."""
    return (
        tag("p", id=f"{name}-told", class_="note"),
        tag("p", id=f"{name}-count", aria_live="polite", class_="note"),
        tag("div", id=f"{name}-list"),
        tag("button", "Show more", id=f"{name}-more", type="button", hidden=""),
    )
