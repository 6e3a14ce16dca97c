"""The recipes: what is trained, on what, how. A recipe is data, not code: `get_recipe("tiny")` returns a frozen record.

Every hyperparameter stands here in so many words, because the libraries' defaults differ between versions and between
backends, and Unsloth rewrites some of TRL's on a GPU. Lengths are in tokens, learning rates per optimiser step, and a batch
counts sequences.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Source:
    """A data set on the hub and what is used of it.

    path, config, split: as for `datasets.load_dataset`; a source whose split is "test" is held out as a whole.
    rows: who reads a row, a name in `sources.READERS`. filters: names in `sources.FILTERS`, which work in this order after
    those that always do. limit: at most so many rows are returned (None: all).
    """

    path: str
    rows: str
    config: str | None = None
    split: str = "train"
    filters: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path} ({f'config {self.config}, ' if self.config else ''}split {self.split})"


@dataclass(frozen=True)
class Lora:
    """A LoRA adapter on all linear layers; `alpha / rank` scales its update."""

    rank: int
    alpha: int
    dropout: float = 0.0
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True)
class Sft:
    """One supervised stage: how many examples, how often seen, how fast. micro_batch: sequences on the device at once.

    source: None for the project's own examples (the curated ones for priming, the tiny world's for SFT).
    """

    examples: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 0
    micro_batch: int | None = None
    source: Source | None = None


@dataclass(frozen=True)
class Grpo:
    """The GRPO stage. Each rollout samples `prompts_per_rollout` groups of `num_generations` completions.

    updates_per_rollout: the optimiser steps that a rollout is shared out to; each completion is used once.
    micro_batch: completions on the device at once; the rest of an update is accumulated (None: all at once).
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
    micro_batch: int | None = None
    source: Source | None = None

    @property
    def probe_every(self) -> int:
        """Optimiser steps between two measurements of held-out accuracy."""
        return self.eval_every * self.updates_per_rollout


@dataclass(frozen=True)
class Evaluation:
    """The measurement: how many held-out problems, and the same token budget for every checkpoint.

    source: a test set of its own, or None for problems held out of what the GRPO stage trains on.
    """

    problems: int
    max_completion_length: int
    batch_size: int
    source: Source | None = None


@dataclass(frozen=True)
class Recipe:
    """Everything that one run needs, from the base model to the evaluation.

    base_model: a hub id, or a folder of this repository. priming, sft: None where the recipe has no such stage.
    format: a name in `formats.FORMATS`. template: "chatml", or "plain" for a base that has never seen a chat.
    system_prompt (ChatML only): None is the format's own, "" is none at all.
    rewards: the kind of `rewards.reward_set`. precision: "auto" (as the device has it), or "float32".
    max_number, problem_steps: the tiny world's difficulty (see `tiny.problems.Difficulty`).
    gpu: whether the recipe needs one. reported: what the system that the recipe follows says of itself.
    """

    name: str
    base_model: str
    format: str
    template: str
    system_prompt: str | None
    max_length: int
    seed: int
    lora: Lora
    priming: Sft | None
    sft: Sft | None
    grpo: Grpo
    evaluation: Evaluation
    rewards: str = "sound"
    precision: str = "auto"
    load_in_4bit: bool = False
    gpu: bool = True
    reported: str = ""
    max_number: int = 0
    problem_steps: tuple[int, ...] = ()

    @property
    def supervised(self) -> bool:
        """Whether notebook 01 has anything to train."""
        return self.priming is not None or self.sft is not None


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
    precision="float32",
    gpu=False,
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

OPENR1 = Source("open-r1/OpenR1-Math-220k", "openr1")
OPENR1_SOLUTIONS = replace(OPENR1, filters=("half the context",))
OPENMATH = Source("unsloth/OpenMathReasoning-mini", "openmath", split="cot", filters=("numeric answers", "half the context"))
DAPO = Source("open-r1/DAPO-Math-17k-Processed", "dapo", config="en", filters=("prompt length",))
GSM8K = Source("openai/gsm8k", "gsm8k", config="main")
GSM8K_TEST = replace(GSM8K, split="test")
MATH_500 = Source("HuggingFaceH4/MATH-500", "math500", split="test")

# Qwen3-4B-Base on a T4: 4-bit weights, 1,024 tokens, rank 16, two completions at once.
_QWEN3_4B = Recipe(
    name="",
    base_model="unsloth/Qwen3-4B-Base",
    format="tags",
    template="chatml",
    system_prompt=None,
    max_length=1024,
    seed=3407,
    load_in_4bit=True,
    lora=Lora(rank=16, alpha=32),
    priming=Sft(examples=60, epochs=2, batch_size=8, micro_batch=1, learning_rate=2e-4, warmup_steps=2),
    sft=None,
    grpo=Grpo(
        rollouts=100,
        prompts_per_rollout=8,
        num_generations=8,
        updates_per_rollout=1,
        learning_rate=5e-6,
        max_completion_length=512,
        warmup_steps=10,
        micro_batch=2,
        save_every=10,
        eval_every=25,
        eval_problems=50,
        source=OPENR1,
    ),
    evaluation=Evaluation(problems=500, max_completion_length=1024, batch_size=16),
)

QWEN3_4B_OPENR1 = replace(
    _QWEN3_4B,
    name="qwen3-4b-openr1",
    format="boxed",
    sft=Sft(examples=1000, epochs=1, batch_size=16, micro_batch=1, learning_rate=2e-4, warmup_steps=5, source=OPENR1_SOLUTIONS),
    evaluation=Evaluation(problems=2000, max_completion_length=1024, batch_size=16),
    reported="accuracy 40 % base, 48 % + SFT, 55 % + GRPO on 2,000 held-out problems",
)
QWEN3_4B_DAPO = replace(
    _QWEN3_4B,
    name="qwen3-4b-dapo",
    priming=replace(_QWEN3_4B.priming, source=OPENMATH),
    grpo=replace(_QWEN3_4B.grpo, source=DAPO),
    evaluation=Evaluation(problems=500, max_completion_length=1024, batch_size=16, source=MATH_500),
    reported="follows the format and answers better than the base after 100 steps",
)
QWEN3_4B_ENGINE = replace(
    _QWEN3_4B,
    name="qwen3-4b-engine",
    rewards="graded",
    reported="rewards for sound step-by-step work; every run tracked and compared in W&B",
)
QWEN2_5_0_5B_GSM8K = Recipe(
    name="qwen2.5-0.5b-gsm8k",
    base_model="Qwen/Qwen2.5-0.5B-Instruct",
    format="xml",
    template="chatml",
    system_prompt=None,
    max_length=768,
    seed=42,
    precision="float32",
    lora=Lora(rank=32, alpha=64),
    priming=None,
    sft=None,
    grpo=Grpo(
        rollouts=400,
        prompts_per_rollout=2,
        num_generations=8,
        updates_per_rollout=1,
        learning_rate=5e-5,  # ten times the source's 5e-6, which is for full fine-tuning
        max_completion_length=512,
        warmup_steps=40,
        max_grad_norm=0.1,
        micro_batch=8,
        save_every=50,
        eval_every=100,
        eval_problems=100,
        source=GSM8K,
    ),
    evaluation=Evaluation(problems=1319, max_completion_length=512, batch_size=64, source=GSM8K_TEST),
    reported="better adherence to the XML form",
)
QWEN2_5_3B_GSM8K = replace(
    QWEN2_5_0_5B_GSM8K,
    name="qwen2.5-3b-gsm8k",
    base_model="Qwen/Qwen2.5-3B-Instruct",
    precision="auto",
    load_in_4bit=True,
    lora=Lora(rank=16, alpha=32),
    grpo=replace(QWEN2_5_0_5B_GSM8K.grpo, rollouts=250, prompts_per_rollout=4, micro_batch=2, learning_rate=1e-5),
    reported="GSM8K 54.66 % to 61.33 %",
)

RECIPES = {
    recipe.name: recipe
    for recipe in (TINY, QWEN3_4B_OPENR1, QWEN3_4B_DAPO, QWEN3_4B_ENGINE, QWEN2_5_0_5B_GSM8K, QWEN2_5_3B_GSM8K)
}


def require_supervised(recipe: Recipe) -> None:
    """ValueError for a recipe that begins with GRPO: notebook 01 has nothing to do for it."""
    if not recipe.supervised:
        raise ValueError(
            f"The recipe {recipe.name!r} has no supervised stage: go on with notebooks/02_GRPO_reasoning_tuning.ipynb."
        )


def get_recipe(name: str, trial: bool = False) -> Recipe:
    """The recipe of that name, for a trial `shortened`; ValueError with the known names for any other."""
    if name not in RECIPES:
        raise ValueError(f"There is no recipe {name!r}. Set RECIPE to one of: {', '.join(sorted(RECIPES))}.")
    return shortened(RECIPES[name]) if trial else RECIPES[name]


def shortened(recipe: Recipe) -> Recipe:
    """The recipe with two steps of each stage and eight problems to measure on, on any device: to see that everything works."""

    def short(stage: Sft | None) -> Sft | None:
        return stage and replace(stage, examples=min(stage.examples, 2 * stage.batch_size), epochs=1)

    return replace(
        recipe,
        gpu=False,
        priming=short(recipe.priming),
        sft=short(recipe.sft),
        grpo=replace(recipe.grpo, rollouts=2, prompts_per_rollout=2, max_completion_length=64, eval_problems=4),
        evaluation=replace(recipe.evaluation, problems=8, max_completion_length=64),
    )
