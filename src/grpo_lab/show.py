"""What the notebooks display: samples, groups, rewards and files, as HTML, Markdown or data frames. Takes plain dicts."""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from grpo_lab import figures
from grpo_lab.report import label_of
from grpo_lab.report.marks import marked_text
from grpo_lab.report.tables import markdown_table
from grpo_math.rewards import pay, reward_name

# Where GitHub drops colours, the signs and the small type stay.
GREEN, RED, GREY = "#2da44e", "#cf222e", "#888888"
TAG = re.compile(r"&lt;/?\w+&gt;")


def completion_html(text: str) -> str:
    """A completion with its false sums in bold, what they come to behind them, and its tags small and grey."""
    return TAG.sub(rf'<small style="color:{GREY}">\g<0></small>', marked_text(text)).replace("\n", "<br>")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are HTML already, all of them from the left."""
    line = "<tr>{}</tr>".format
    cells = [line("".join(f'<td style="text-align:left;vertical-align:top">{cell}</td>' for cell in row)) for row in rows]
    names = line("".join(f'<th style="text-align:left">{name}</th>' for name in head))
    return f"<table><thead>{names}</thead><tbody>{''.join(cells)}</tbody></table>"


def _graded(sample: dict) -> str:
    """Whether a sample is right, and below that its completion."""
    colour, verdict = (GREEN, "✓ right") if sample["correct_flexible"] else (RED, f"✗ wrong, it is {escape(sample['gold'])}")
    cut = ", cut off" if sample["truncated"] else ""
    return f'<b style="color:{colour}">{verdict}{cut}</b><br>{completion_html(sample["completion"])}'


def samples_html(samples: Sequence[dict]) -> str:
    """Problem and graded completion side by side."""
    return _table(["problem", "completion"], [[escape(s["question"]), _graded(s)] for s in samples]) if samples else "none"


def pairs_html(pairs: Sequence[tuple[dict, dict]]) -> str:
    """Two graded completions of each problem side by side, the earlier checkpoint on the left."""
    if not pairs:
        return "none"
    head = ["problem", *(label_of(sample["checkpoint"]) for sample in pairs[0])]
    return _table(head, [[escape(was["question"]), _graded(was), _graded(now)] for was, now in pairs])


def group_html(group: Sequence[dict]) -> str:
    """A group of completions of one problem, the best paid first: what each reward function paid, reward and advantage.

    group: rows with `completion`, `rewards` (by function), `reward` and `advantage`. Equal completions share a line.
    """
    times = Counter(row["completion"] for row in group)
    rows = {row["completion"]: row for row in sorted(group, key=lambda row: -row["reward"])}
    lines = []
    for text, row in rows.items():
        colour = GREEN if row["advantage"] > 0 else RED if row["advantage"] < 0 else GREY
        paid = ["–" if value is None else f"{value:.2f}" for value in (*row["rewards"].values(), row["reward"])]
        advantage = f'<b style="color:{colour}">{row["advantage"]:+.2f}</b>'
        again = f" <b>×{times[text]}</b>" if times[text] > 1 else ""
        lines.append([completion_html(text) + again, *paid, advantage])
    return _table(["completion", *group[0]["rewards"], "reward", "advantage"], lines)


def live_html(metrics: Sequence[dict], rollout: Sequence[dict], steps: int, rewards: tuple[float, float]) -> str:
    """What a reader sees while GRPO trains: the curves, and of one group of the newest rollout the best and the worst paid.

    The group is the one in the middle, by its mean reward. steps, rewards: the last step, least and most reward, for the axes.
    """
    curves = b64encode(figures.live_curves(metrics, steps, rewards)).decode("ascii")
    picture = f'<img alt="Reward and held-out accuracy so far" src="data:image/png;base64,{curves}">'
    groups: dict[int, list[dict]] = {}
    for row in sorted(rollout, key=lambda row: row["reward"], reverse=True):
        groups.setdefault(row["group"], []).append(row)
    if not groups:
        return picture
    group = sorted(groups.values(), key=lambda rows: sum(row["reward"] for row in rows))[len(groups) // 2]
    places = dict(zip(("best", "worst"), (group[0], group[-1])[: len(group)], strict=False))
    head = [f"{place} paid of {len(group)}: reward {row['reward']:.2f} of {rewards[1]:.2f}" for place, row in places.items()]
    shown = _table(head, [[completion_html(row["completion"]) for row in places.values()]])
    return f"{picture}<p><b>{escape(group[0]['question'])}</b> Gold answer: {escape(group[0]['gold'])}</p>{shown}"


def reward_table(
    reward_functions: Sequence[Callable], completions: dict[str, str], answer: str, row: Mapping | None = None
) -> pd.DataFrame:
    """What each reward function pays for named completions to a problem with the given gold answer, and the sum.

    row: a row of the data, for functions that ask for other columns than the answer.
    """
    texts = [[{"role": "assistant", "content": text}] for text in completions.values()]
    columns = {name: [value] * len(texts) for name, value in {**(row or {}), "answer": answer}.items()}
    given = {"prompts": columns.pop("prompt", [""] * len(texts)), "completion_ids": [[]] * len(texts), **columns}
    frame = pd.DataFrame({reward_name(f): pay(f, texts, **given) for f in reward_functions}, index=list(completions))
    frame["total"] = frame.sum(axis=1)
    return frame


# Why each setting of GRPO is there, for one who sees it for the first time.
WHY = {
    "rollouts": "how often new completions are sampled from the model as it has become",
    "prompts_per_rollout": "problems a rollout: more of them, a steadier gradient",
    "num_generations": "completions a problem, the group: the larger, the rarer all of them agree",
    "updates_per_rollout": "sampling is dear, so a rollout is shared out to so many optimiser steps, each completion used once",
    "learning_rate": "how far one step goes; a LoRA adapter takes ten times what all weights would",
    "max_completion_length": "tokens after which a completion is cut off, and can no longer be right",
    "temperature": "1 samples from the model as it is; a group of equal completions would teach nothing",
    "beta": "weight of the KL penalty, which pulls towards the model before GRPO; at 0 there is none, nor a copy of that model",
    "epsilon": "where the ratio to the sampling policy is clipped, so that no completion counts too much",
    "loss_type": "dr_grpo divides by a constant, so that a token counts alike in short and long completions",
    "scale_rewards": "none leaves the advantage as it is; group divides it by the group's standard deviation",
    "max_grad_norm": "a longer gradient is shortened to this",
    "unanswerable": "share of prompts that lack a needed quantity, where saying so is rewarded",
}


def settings_markdown(settings: Mapping[str, object]) -> str:
    """The settings of the GRPO stage (by name, as in `recipes.Grpo`) that decide what is learned, each with its reason."""
    rows = [{"setting": f"`{name}`", "value": settings[name], "why": why} for name, why in WHY.items()]
    return markdown_table(pd.DataFrame(rows), left=True)


def saved_files_markdown(run: Path, names: Sequence[str]) -> str:
    """A list of files of the run with their sizes; one that is missing is said to be."""
    paths = {name: run / name for name in names}
    sizes = {name: f"{path.stat().st_size / 1000:,.0f} kB" if path.is_file() else "**missing**" for name, path in paths.items()}
    return "\n".join(f"- `results/{run.name}/{name}`: {size}" for name, size in sizes.items())


def stages_markdown(stages: Sequence[dict[str, str]]) -> str:
    """What each stage took so far."""
    columns = {"stage": "stage", "wall_s": "wall, s", "cpu_s": "CPU, s", "peak_memory_mb": "peak memory, MB"}
    return markdown_table(pd.DataFrame(stages, columns=list(columns)).rename(columns=columns))
