"""Do two models write the same? Greedy completions, token by token, and the logits as far as both have read the same text."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from grpo_lab.evaluation.generation import end_tokens
from grpo_math.formats import user_turn

PROMPTS = 8
TOKENS = 128  # of each completion; with 8 prompts and Qwen's vocabulary the logits take 0.6 GB


@dataclass(frozen=True)
class Trace:
    """What a model wrote greedily: token ids (prompts, steps), and the logits of each step (steps, prompts, vocabulary)."""

    tokens: torch.Tensor
    logits: torch.Tensor


@dataclass(frozen=True)
class Comparison:
    """Two traces of the same prompts. first_difference: the earliest token that differs in any of them, from 1; None if none.

    logit_difference: the largest, in absolute value, at steps before which both had written the same.
    """

    prompts: int
    identical: int
    first_difference: int | None
    logit_difference: float

    def __str__(self) -> str:
        where = f", the first difference at token {self.first_difference}" if self.first_difference else ""
        return (
            f"{self.identical} of {self.prompts} greedy completions are identical{where}; "
            f"the logits differ by at most {self.logit_difference:.2g}"
        )


def chat_prompts(tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]) -> list[str]:
    """The questions as the trained model is asked them."""
    turns = map(user_turn, questions[:PROMPTS])
    return [tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True) for turn in turns]


@torch.inference_mode()
def trace(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str]) -> Trace:
    """The first TOKENS tokens of each greedy completion, on the CPU; all prompts are one batch."""
    model.eval()
    batch = tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    output = model.generate(
        **batch,
        max_new_tokens=TOKENS,
        do_sample=False,
        eos_token_id=end_tokens(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        return_dict_in_generate=True,
        output_logits=True,
    )
    logits = torch.stack([step.float().cpu() for step in output.logits])
    return Trace(output.sequences[:, batch["input_ids"].shape[1] :].cpu(), logits)


def compare(first: Trace, second: Trace, pad: int) -> Comparison:
    """How far two traces of the same prompts agree. `pad`: what follows the end of a completion, and is compared with nothing."""
    positions, worst = [], 0.0
    for row, (a, b) in enumerate(zip(first.tokens.tolist(), second.tokens.tolist(), strict=True)):
        a, b = _until(a, pad), _until(b, pad)
        same = next((n for n, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        if a != b:
            positions.append(same + 1)
        shared = min(same + 1, len(a), len(b))  # the step that differs had the same text before it
        gap = first.logits[:shared, row] - second.logits[:shared, row]
        worst = max(worst, gap.abs().max().item())
    return Comparison(len(first.tokens), len(first.tokens) - len(positions), min(positions, default=None), worst)


def _until(tokens: list[int], pad: int) -> list[int]:
    """The completion with its end mark, without the padding after it."""
    return tokens[: tokens.index(pad) + 1] if pad in tokens else tokens
