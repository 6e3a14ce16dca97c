r"""The trace audit: what a solution claims, checked without a judge model. Exact fractions, no clock, standard library only.

>>> audit("48 / 2 = 24, 48 + 24 = 73. #### 73", "She sold 48 clips, then half as many.").flags
('H1',)

H1 false arithmetic, H2 a number from nowhere, H3 a final answer that the trace does not state, H4 final answers that differ,
H6 a loop, a cut-off, or text after the end. H5 needs a twin of the problem and is no matter of one trace. What cannot be read is
skipped: a trace without flags is not a correct one.

The parts, in the order of their work: `lexer` and `expressions` read one side of an equation, `claims` finds the sides and
compares them, `grounding` asks where operands come from, `finals` looks at the end; `units` holds the lists of words.
"""

from dataclasses import dataclass

from grpo_math.audit.claims import Claim, number_text, read_links
from grpo_math.audit.finals import final_answers, goes_on_after_end, is_degenerate, is_stated, read_value
from grpo_math.audit.grounding import Operand, grounded_numbers, ungrounded_operands

__all__ = ["Audit", "Claim", "Operand", "audit", "number_text", "read_links"]

LONGEST_TRACE = 100_000  # characters; what stands behind them is not read


@dataclass(frozen=True, slots=True)
class Audit:
    """What one trace claims and which flags it earns, in the order of the trace; `flags` are sorted."""

    claims: tuple[Claim, ...]
    ungrounded: tuple[Operand, ...]
    flags: tuple[str, ...]


def audit(trace: str, problem: str = "", answer: str | None = None, truncated: bool = False) -> Audit:
    """Audit one trace. Never raises for a text, and takes time linear in it.

    Without a `problem` no number is called ungrounded. `answer`: the final answer where the caller has extracted it; default: the
    last one that the trace gives. `truncated`: whether generation stopped at the token budget instead of at an end mark.
    """
    trace = trace[:LONGEST_TRACE]
    links = read_links(trace)
    claims = tuple(link.claim for link in links if link.claim)
    ungrounded = ungrounded_operands(links, grounded_numbers(problem), trace) if problem else ()
    finals = final_answers(trace)
    flags = {
        "H1": any(not claim.true for claim in claims),
        "H2": bool(ungrounded),
        "H3": bool(claims) and _contradicts(trace, links, finals, answer),
        "H4": len({value for value, _ in finals}) > 1,
        "H6": truncated or goes_on_after_end(trace) or is_degenerate(trace),
    }
    return Audit(claims, ungrounded, tuple(name for name, raised in flags.items() if raised))


def _contradicts(trace: str, links: list, finals: list, answer: str | None) -> bool:
    """Whether the final answer is a number that the trace before it neither derives nor states."""
    value = read_value(str(answer)) if answer is not None else finals[-1][0] if finals else None
    if value is None:
        return False
    end = finals[0][1] if finals else len(trace)
    derived = {side.value for link in links for side in link.sides if link.start < end}
    derived |= {number for link in links if link.claim for number in (link.claim.stated, link.claim.exact)}
    return not is_stated(value, derived, trace[:end])
