r"""GSM8K scores as lm-evaluation-harness gives them, so that ours can be put beside published ones.

This restates another project's two metrics, with their quirks; what is correct by our own rules, `verdict` says. Source:
EleutherAI/lm-evaluation-harness, `lm_eval/tasks/gsm8k/gsm8k.yaml` (task version 3.0), as released in lm_eval 0.4.13.

What the harness's scores also hang on, but no metric sees: 5 worked examples before the question, greedy decoding, and the
number of new tokens (256 unless told otherwise). It also stops at the model's own end token, which a completion must not hold.
"""

import re
from collections import deque

HARNESS = ("strict-match", "flexible-extract")
_INVALID = "[invalid]"  # as the harness calls it

_STOP = re.compile(r"Question:|</s>|<\|im_end\|>")  # the harness cuts a generation here, before it looks for an answer
_STRICT = re.compile(r"#### (-?[0-9.,]+)")
# Both branches take whole matches, so the harness's choice among groups falls away.
_FLEXIBLE = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def harness_extract(completion: str, name: str) -> str:
    """What the harness compares with the gold answer; "[invalid]" where a completion gives nothing.

    "strict-match" takes the first number behind `#### `; "flexible-extract" takes the last thing that looks like a number, and
    two signs such as the end of "18..." are enough to look like one. Raises ValueError for another name.

    >>> harness_extract("She makes $1,234. #### 18", "strict-match"), harness_extract("She makes $1,234.", "flexible-extract")
    ('18', '1234')
    >>> harness_extract("So 18.", "strict-match"), harness_extract("It is 18, I think ...", "flexible-extract")
    ('[invalid]', '..')
    """
    if name not in HARNESS:
        raise ValueError(f"There is no harness metric {name!r}; choose one of {', '.join(HARNESS)}.")
    text = _STOP.split(completion, maxsplit=1)[0]
    if name == "strict-match":
        first = _STRICT.search(text)
        return _compared(first.group(1)) if first else _INVALID
    last = deque(_FLEXIBLE.finditer(text), maxlen=1)
    return _compared(last[0].group()) if last else _INVALID


def harness_match(completion: str, gold: str, name: str) -> bool:
    """Whether the harness counts a completion as right; texts are compared, not values, so 18.0 is not 18.

    gold: the bare answer, or GSM8K's whole solution, which ends in `#### 18`. Raises ValueError for another name than `HARNESS`
    has.

    >>> harness_match("#### 18.", "16 - 3 - 4 = 9, times 2 is 18. #### 18", "strict-match")
    True
    >>> harness_match("The answer is 18.0", "18", "flexible-extract")
    False
    """
    return harness_extract(completion, name) == _compared(gold)


def _compared(text: str) -> str:
    """A text without what the harness ignores on both sides, in its order: commas, dollars, all up to `#### `, a last period."""
    # The harness's `(?s).*#### ` cuts as `rpartition` does, in more than linear time. Its `\.$` also takes a period before a last
    # newline; that shows nowhere, as no extracted answer has a newline.
    return text.replace(",", "").replace("$", "").rpartition("#### ")[2].removesuffix(".").lower()
