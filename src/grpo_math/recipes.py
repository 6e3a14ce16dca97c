"""The recipes: what is trained, on what, how. A recipe is data, not code; `get_recipe("tiny")` returns a frozen, printable record.

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
    """The GRPO stage. Each step samples `prompts_per_step` groups of `num_generations` completions.

    step_size: sequences in one forward and backward pass; a whole number of these make one optimiser step.
    eval_every, eval_problems: how often, and on how many dev problems, greedy accuracy is measured while training.
    """

    steps: int
    prompts_per_step: int
    num_generations: int
    step_size: int
    learning_rate: float
    max_completion_length: int
    temperature: float = 1.0
    beta: float = 0.0
    epsilon: float = 0.2
    loss_type: str = "dr_grpo"
    scale_rewards: str = "none"
    warmup_steps: int = 0
    max_grad_norm: float = 1.0
    save_every: int = 10
    eval_every: int = 10
    eval_problems: int = 200


@dataclass(frozen=True)
class Evaluation:
    """The measurement: how many held-out problems, and the same token budget for every checkpoint."""

    problems: int
    max_completion_length: int
    batch_size: int


@dataclass(frozen=True)
class Recipe:
    """Everything that one run needs, from the base model to the evaluation.

    format: a name in `formats.FORMATS`. system_prompt: None is the format's own, "" is none at all.
    max_number: the tiny world's difficulty; the largest quantity a story starts from.
    """

    name: str
    base_model: str
    format: str
    system_prompt: str | None
    max_length: int
    max_number: int
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
    system_prompt="",
    max_length=320,
    max_number=60,
    seed=0,
    lora=Lora(rank=32, alpha=32),
    priming=Sft(examples=60, epochs=2, batch_size=16, learning_rate=2e-3),
    sft=Sft(examples=600, epochs=2, batch_size=32, learning_rate=2e-3),
    grpo=Grpo(steps=40, prompts_per_step=16, num_generations=8, step_size=64, learning_rate=1e-3, max_completion_length=160),
    evaluation=Evaluation(problems=2000, max_completion_length=320, batch_size=250),
)

RECIPES = {recipe.name: recipe for recipe in (TINY,)}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name; ValueError with the known names for any other."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. Set RECIPE to one of: {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]
