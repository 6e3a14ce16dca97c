"""What the notebooks display: samples, reward tables and file lists as Markdown or data frames. Takes plain dicts."""

import html
from base64 import b64encode
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from grpo_lab import figures
from grpo_lab.report.marks import marked_html, marked_text
from grpo_lab.report.tables import markdown_table


def _quoted(text: str) -> str:
    """Model output as it is, in a block where no tag or Markdown in it takes effect."""
    return f"<pre>{html.escape(text)}</pre>"


def _mark(sample: dict) -> str:
    verdict = "right" if sample["correct_flexible"] else f"wrong, the answer is {sample['gold']}"
    return verdict + (", cut off" if sample["truncated"] else "")


def samples_markdown(samples: Sequence[dict], block: Callable[[str], str] = _quoted) -> str:
    """Each sample's question, completion (as the HTML that `block` makes of it) and verdict."""
    return "\n\n".join(f"**{s['question']}**\n\n{block(s['completion'])}\n*{_mark(s)}*" for s in samples) or "*none*"


def audited_markdown(samples: Sequence[dict]) -> str:
    """Each sample with its false claims marked in the text, each followed by what it really comes to."""
    return samples_markdown(samples, marked_text)


def before_after_markdown(before: Sequence[dict], after: Sequence[dict]) -> str:
    """The same problems before and after a stage."""
    return pairs_markdown(list(zip(before, after, strict=True)))


def pairs_markdown(pairs: Sequence[tuple[dict, dict]]) -> str:
    """Pairs of samples of one problem, the earlier checkpoint first."""
    told = [
        f"**{a['question']}**\n\n" + "\n".join(f"{s['checkpoint']}: *{_mark(s)}*\n{_quoted(s['completion'])}" for s in (a, b))
        for a, b in pairs
    ]
    return "\n\n---\n\n".join(told) or "*none*"


def stops_sentence(samples: Sequence[dict]) -> str:
    """How many completions ended by themselves: a model that never learned to stop is cut off at the budget each time."""
    stopped = sum(not sample["truncated"] for sample in samples)
    return f"{stopped} of {len(samples)} completions ended by themselves."


def live_html(metrics: Sequence[dict], rollout: Sequence[dict]) -> str:
    """What a reader sees while GRPO trains: the curves so far, and two completions of the newest rollout with their rewards.

    The best and the worst paid one of the group whose rewards differ most; of the first group where none do.
    """
    curves = b64encode(figures.live_curves(metrics)).decode("ascii")
    picture = f'<img alt="Reward and held-out accuracy so far" src="data:image/png;base64,{curves}">'
    groups: dict[int, list[dict]] = {}
    for row in sorted(rollout, key=lambda row: row["reward"], reverse=True):
        groups.setdefault(row["group"], []).append(row)
    if not groups:
        return picture
    group = max((groups[n] for n in sorted(groups)), key=lambda rows: rows[0]["reward"] - rows[-1]["reward"])
    shown = "".join(
        f"<p>reward {row['reward']:g}, gold answer {html.escape(row['gold'])}</p>"
        f'<pre style="white-space:pre-wrap">{marked_html(row["completion"], row["question"])}</pre>'
        for row in (group[0], group[-1])[: len(group)]
    )
    return f"{picture}<p><b>{html.escape(group[0]['question'])}</b></p>{shown}"


def reward_table(reward_functions: Sequence[Callable], completions: dict[str, str], answer: str) -> pd.DataFrame:
    """What each reward function pays for named completions to a problem with the given gold answer, and the sum."""
    texts = list(completions.values())
    paid = {f.__name__: f(completions=texts, answer=[answer] * len(texts)) for f in reward_functions}
    frame = pd.DataFrame(paid, index=list(completions))
    frame["total"] = frame.sum(axis=1)
    return frame


def saved_files_markdown(run: Path, names: Sequence[str]) -> str:
    """A list of files of the run with their sizes; one that is missing is said to be."""
    paths = {name: run / name for name in names}
    sizes = {name: f"{path.stat().st_size / 1000:,.0f} kB" if path.is_file() else "**missing**" for name, path in paths.items()}
    return "\n".join(f"- `results/{run.name}/{name}`: {size}" for name, size in sizes.items())


def stages_markdown(stages: Sequence[dict[str, str]]) -> str:
    """What each stage took so far."""
    columns = {"stage": "stage", "wall_s": "wall, s", "cpu_s": "CPU, s", "peak_memory_mb": "peak memory, MB"}
    return markdown_table(pd.DataFrame(stages, columns=list(columns)).rename(columns=columns))
