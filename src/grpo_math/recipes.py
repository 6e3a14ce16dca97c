"""The recipes: what is trained, on what, how. A recipe is data, not code: `get_recipe("tiny")` returns a frozen record.

Every hyperparameter stands here in so many words, because the libraries' defaults differ between versions and between backends.
Lengths are in tokens, learning rates per optimiser step, and a batch counts sequences.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Lora:
    """A LoRA adapter on all linear layers; `alpha / rank` scales its update."""

    rank: int
    alpha: int
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Sft:
    """One supervised stage: how many examples, how often seen, how fast."""

    examples: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 0


@dataclass(frozen=True)
class Grpo:
    """The GRPO stage. Each rollout samples `prompts_per_rollout` groups of `num_generations` completions.

    updates_per_rollout: the optimiser steps that a rollout is shared out to; each completion is used once.
    eval_every, eval_problems: every how many rollouts, and on how many dev problems, greedy accuracy is measured while training.
    """

    rollouts: int
    prompts_per_rollout: int
    num_generations: int
    updates_per_rollout: int
    learning_rate: float
    max_completion_length: int
    temperature: float = 1.0
    beta: float = 0.0
    epsilon: float = 0.2
    loss_type: str = "dr_grpo"
    scale_rewards: str = "none"
    warmup_steps: int = 0
    max_grad_norm: float = 1.0
    save_every: int = 8
    eval_every: int = 8
    eval_problems: int = 200

    @property
    def probe_every(self) -> int:
        """Optimiser steps between two measurements of held-out accuracy."""
        return self.eval_every * self.updates_per_rollout


@dataclass(frozen=True)
class Evaluation:
    """The measurement: how many held-out problems, and the same token budget for every checkpoint."""

    problems: int
    max_completion_length: int
    batch_size: int


@dataclass(frozen=True)
class Recipe:
    """Everything that one run needs, from the base model to the evaluation.

    format: a name in `formats.FORMATS`. template: "chatml", or "plain" for a base that has never seen a chat.
    system_prompt (ChatML only): None is the format's own, "" is none at all.
    max_number, problem_steps: the tiny world's difficulty (see `tiny.problems.Difficulty`).
    """

    name: str
    base_model: str
    format: str
    template: str
    system_prompt: str | None
    max_length: int
    max_number: int
    problem_steps: tuple[int, ...]
    seed: int
    lora: Lora
    priming: Sft
    sft: Sft
    grpo: Grpo
    evaluation: Evaluation


TINY = Recipe(
    name="tiny",
    base_model="data/tiny-base",
    format="tags",
    template="plain",
    system_prompt="",
    max_length=384,
    max_number=100,
    problem_steps=(2, 2, 3, 4),
    seed=0,
    lora=Lora(rank=32, alpha=32),
    priming=Sft(examples=60, epochs=2, batch_size=16, learning_rate=2e-3),
    sft=Sft(examples=3000, epochs=1, batch_size=32, learning_rate=2e-3),
    grpo=Grpo(
        rollouts=24,
        prompts_per_rollout=24,
        num_generations=12,
        updates_per_rollout=4,
        learning_rate=7e-4,
        max_completion_length=144,
    ),
    evaluation=Evaluation(problems=2000, max_completion_length=256, batch_size=250),
)

RECIPES = {recipe.name: recipe for recipe in (TINY,)}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ValueError with the known names for any other."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. Set RECIPE to one of: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]
