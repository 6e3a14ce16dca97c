"""The recipes: what is trained, on what, how. A recipe is data, not code: `get_recipe("tiny")` returns a frozen record.

Every hyperparameter stands here in so many words, because the libraries' defaults differ between versions and between
backends, and Unsloth rewrites some of TRL's on a GPU. Lengths are in tokens, learning rates per optimiser step, and a batch
counts sequences.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from grpo_lab.host import Device, Needs


@dataclass(frozen=True)
class Source:
    """A data set and what is used of it.

    path, config, split: as for `datasets.load_dataset`; a source whose split is "test" is held out as a whole.
    rows: who reads a row, a name in `sources.READERS`. filters: names in `sources.FILTERS`, which work in this order after
    those that always do. limit: at most so many rows are returned (None: all). held_out: the share of the questions, in percent,
    that is kept apart to measure on.
    columns, digest: of your own data (rows "own"; see `own_data`), which column holds what, and a hash of the files.
    any_gold: whether every gold answer is kept, because a checker of your own judges it.
    """

    path: str
    rows: str
    config: str | None = None
    split: str = "train"
    filters: tuple[str, ...] = ()
    limit: int | None = None
    held_out: int = 5
    columns: tuple[tuple[str, str], ...] = ()
    digest: str = ""
    any_gold: bool = False

    @property
    def name(self) -> str:
        """What messages call it."""
        if self.rows == "own":
            return f"{self.path} ({self.split})"
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

    source: None for the project's own examples (the curated ones for priming, the tiny world's for SFT). unanswerable: the share
    of the tiny world's examples that lack a needed quantity and say so (see `grpo_math.unanswerable`). ways: how the others are
    worked, in turn, by names in `tiny.corpus.WAYS`; which of them pays is left for GRPO to find out.
    """

    examples: int
    epochs: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 0
    micro_batch: int | None = None
    source: Source | None = None
    unanswerable: float = 0.0
    ways: tuple[str, ...] = 2 * ("in_one_go",) + 5 * ("step_by_step",) + 3 * ("place_by_place",)


@dataclass(frozen=True)
class Grpo:
    """The GRPO stage. Each rollout samples `prompts_per_rollout` groups of `num_generations` completions.

    updates_per_rollout: the optimiser steps that a rollout is shared out to; each completion is used once.
    micro_batch: completions on the device at once; the rest of an update is accumulated (None: all at once).
    generation_batch: completions that are generated at once (None: the whole rollout).
    eval_every, eval_problems: every how many rollouts, and on how many dev problems, greedy accuracy is measured while training.
    unanswerable: the share of prompts that lack a needed quantity (see `grpo_math.unanswerable`): there saying so is rewarded.
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
    generation_batch: int | None = None
    source: Source | None = None
    unanswerable: float = 0.0

    @property
    def probe_every(self) -> int:
        """Optimiser steps between two measurements of held-out accuracy."""
        return self.eval_every * self.updates_per_rollout


@dataclass(frozen=True)
class Evaluation:
    """The measurement: how many held-out problems, and the same token budget for every checkpoint.

    source: a test set of its own, or None for problems held out of what the GRPO stage trains on. twins: how many of the
    problems are also asked without a needed quantity. transfer: how many problems of each kind are asked that are unlike what
    SFT and GRPO train on (tiny world only). sampled: on how many problems `samples` completions each are drawn, at the
    temperature of the GRPO stage.
    """

    problems: int
    max_completion_length: int
    batch_size: int
    source: Source | None = None
    twins: int = 0
    transfer: int = 0
    sampled: int = 0
    samples: int = 8


@dataclass(frozen=True)
class Variant:
    """What a recipe takes on one kind of hardware: how much fits on it at once. Batches, rates and steps stay the recipe's.

    kind: "cuda" or "mps". memory_gb: the least memory, in GiB, of the card (on Apple Silicon of the machine).
    lora_rank and the lengths do change what is learned, so a run keeps to the variant that it began with. Evaluation's token
    budget grows with the completions.
    """

    hardware: str
    kind: str
    memory_gb: float
    load_in_4bit: bool
    lora_rank: int
    max_length: int
    max_completion_length: int
    sft_micro_batch: int
    grpo_micro_batch: int
    eval_batch_size: int


@dataclass(frozen=True)
class Recipe:
    """Everything that one run needs, from the base model to the evaluation.

    base_model: a hub id, or a folder of this repository. priming, sft: None where the recipe has no such stage.
    format: a name in `formats.FORMATS`. template: "chatml", or "plain" for a base that has never seen a chat. Where the base's
    vocabulary lacks ChatML's marks, "chatml" is the base's own chat template with our system prompt and opening tag, and the
    plain one for a base without any (see `chat.prepare_tokenizer`).
    system_prompt (not in the plain template): None is the format's own, "" is none at all.
    base_prompt: how the base model is measured, a style of `evaluation.render_prompts`: "plain", "few-shot", "chat", or
    "question": the question alone in ChatML, in the base's own template, or plainly.
    rewards, checker: as `rewards.reward_set` takes them. precision: "auto" (as the device has it), or "float32".
    max_number, problem_steps: the tiny world's difficulty (see `tiny.problems.Difficulty`).
    needs: what a machine must have. variants: from the largest hardware to the smallest; `for_device` takes the first that fits
    and names it in `hardware`.
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
    base_prompt: str = "plain"
    rewards: str | tuple[str | Callable, ...] = "sound"
    checker: Callable | None = None
    precision: str = "auto"
    load_in_4bit: bool = False
    needs: Needs = Needs()
    variants: tuple[Variant, ...] = ()
    hardware: str = "any"
    max_number: int = 0
    problem_steps: tuple[int, ...] = ()

    @property
    def tiny_world(self) -> bool:
        """Whether it trains on the tiny world, of whose problems we know kinds, steps and ways of working."""
        return self.grpo.source is None

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
    max_number=200,
    problem_steps=(2, 3, 4),
    seed=0,
    precision="float32",
    lora=Lora(rank=32, alpha=32),
    priming=Sft(examples=60, epochs=2, batch_size=16, learning_rate=2e-3),
    sft=Sft(examples=3000, epochs=1, batch_size=32, learning_rate=2e-3, unanswerable=0.1),
    grpo=Grpo(
        rollouts=12,
        prompts_per_rollout=24,
        num_generations=12,
        updates_per_rollout=4,
        learning_rate=7e-4,
        max_completion_length=224,
        save_every=4,
        eval_every=4,
    ),
    evaluation=Evaluation(problems=1200, max_completion_length=384, batch_size=200, twins=200, transfer=100, sampled=60),
)

OPENR1 = Source("open-r1/OpenR1-Math-220k", "openr1")
OPENR1_SOLUTIONS = replace(OPENR1, filters=("SFT's half", "fits the context"))
OPENR1_PROMPTS = replace(OPENR1, filters=("GRPO's half",))
OPENMATH = Source("unsloth/OpenMathReasoning-mini", "openmath", split="cot", filters=("numeric answers", "fits the context"))
DAPO = Source("open-r1/DAPO-Math-17k-Processed", "dapo", config="en", filters=("prompt length",))
GSM8K = Source("openai/gsm8k", "gsm8k", config="main")
GSM8K_TEST = replace(GSM8K, split="test")
MATH_500 = Source("HuggingFaceH4/MATH-500", "math500", split="test")

# Above a T4 the weights stay in 16 bits. One card is used: a second one is left alone (see `host.use_one_card`).
QWEN3_4B_VARIANTS = (
    Variant("A100 or H100, 80 GB", "cuda", 70, False, 32, 4096, 2048, 4, 8, 64),
    Variant("L4, A10 or better, 24 GB", "cuda", 21, False, 32, 2048, 1024, 2, 4, 32),
    Variant("T4, 16 GB", "cuda", 14, True, 16, 1024, 512, 1, 2, 16),
    Variant("Apple Silicon, 32 GB", "mps", 30, False, 16, 1024, 512, 1, 2, 8),
)
QWEN2_5_3B_VARIANTS = (
    Variant("A100 or H100, 80 GB", "cuda", 70, True, 16, 768, 512, 4, 16, 128),
    Variant("L4, A10 or better, 24 GB", "cuda", 21, True, 16, 768, 512, 2, 8, 64),
    Variant("T4, 16 GB", "cuda", 14, True, 16, 768, 512, 1, 2, 64),
    Variant("Apple Silicon, 24 GB", "mps", 22, False, 16, 768, 512, 1, 2, 8),
)
QWEN2_5_0_5B_VARIANTS = (
    Variant("L4, A10 or better, 24 GB", "cuda", 21, False, 32, 768, 512, 4, 16, 128),
    Variant("T4, 16 GB", "cuda", 14, False, 32, 768, 512, 2, 8, 64),
    Variant("Apple Silicon, 16 GB", "mps", 14, False, 32, 768, 512, 2, 4, 16),
)

# The records hold the values of the T4: for Qwen3-4B-Base 4-bit weights, 1,024 tokens, rank 16, two completions at once.
_QWEN3_4B = Recipe(
    name="",
    base_model="unsloth/Qwen3-4B-Base",
    format="tags",
    template="chatml",
    system_prompt=None,
    max_length=1024,
    seed=3407,
    load_in_4bit=True,
    base_prompt="few-shot",
    needs=Needs(gpu=True, gpu_memory_gb=14, disk_gb=3, download_gb=12, memory_gb=10, model="unsloth/Qwen3-4B-Base"),
    variants=QWEN3_4B_VARIANTS,
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
        generation_batch=16,
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
    grpo=replace(_QWEN3_4B.grpo, source=OPENR1_PROMPTS),
    evaluation=Evaluation(problems=2000, max_completion_length=1024, batch_size=16),
)
QWEN3_4B_DAPO = replace(
    _QWEN3_4B,
    name="qwen3-4b-dapo",
    priming=replace(_QWEN3_4B.priming, source=OPENMATH),
    rewards="graded",
    grpo=replace(_QWEN3_4B.grpo, source=DAPO),
    evaluation=Evaluation(problems=500, max_completion_length=1024, batch_size=16, source=MATH_500),
)
QWEN3_4B_ENGINE = replace(_QWEN3_4B, name="qwen3-4b-engine", rewards=("graded", "sound_steps"))
QWEN2_5_0_5B_GSM8K = Recipe(
    name="qwen2.5-0.5b-gsm8k",
    base_model="Qwen/Qwen2.5-0.5B-Instruct",
    format="xml",
    template="chatml",
    system_prompt=None,
    max_length=768,
    seed=42,
    precision="float32",
    rewards=("correctness", "integer", "strict_format", "soft_format", "xml_structure"),
    base_prompt="question",
    needs=Needs(gpu=True, gpu_memory_gb=14, disk_gb=2, download_gb=3, memory_gb=8, model="Qwen/Qwen2.5-0.5B-Instruct"),
    variants=QWEN2_5_0_5B_VARIANTS,
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
        generation_batch=64,
        save_every=50,
        eval_every=100,
        eval_problems=100,
        source=GSM8K,
    ),
    evaluation=Evaluation(problems=1319, max_completion_length=512, batch_size=64, source=GSM8K_TEST, twins=300),
)
QWEN2_5_3B_GSM8K = replace(
    QWEN2_5_0_5B_GSM8K,
    name="qwen2.5-3b-gsm8k",
    base_model="Qwen/Qwen2.5-3B-Instruct",
    precision="auto",
    load_in_4bit=True,
    needs=Needs(gpu=True, gpu_memory_gb=14, disk_gb=3, download_gb=9, memory_gb=10, model="Qwen/Qwen2.5-3B-Instruct"),
    variants=QWEN2_5_3B_VARIANTS,
    lora=Lora(rank=16, alpha=32),
    grpo=replace(QWEN2_5_0_5B_GSM8K.grpo, rollouts=250, prompts_per_rollout=4, micro_batch=2, learning_rate=1e-5),
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


def with_unanswerable(recipe: Recipe, share: float) -> Recipe:
    """The recipe with this share of GRPO prompts that lack a needed quantity; ValueError where it is no share."""
    if not 0 <= share < 1:
        raise ValueError(f"UNANSWERABLE = {share!r} is not a share: give 0 for none, or 0.1 for every tenth prompt.")
    return replace(recipe, grpo=replace(recipe.grpo, unanswerable=share))


def with_model(recipe: Recipe, model: str) -> Recipe:
    """The recipe on another base: a hub id, or a folder by its path from the clone. "" leaves it as it is."""
    needs = replace(recipe.needs, model=model if recipe.needs.model else None)
    return replace(recipe, base_model=model, needs=needs) if model else recipe


def for_device(recipe: Recipe, device: Device, hardware: str = "") -> Recipe:
    """The recipe as it fits the device, or the `hardware` that is named instead, the beginning of a variant's name.

    A variant fills only what is as RECIPES has it: what somebody set stays. Prints the variant, its reason and each change as
    `old → new`. Unchanged without a variant for this kind of device, which `host.preflight` refuses in a sentence; one that is
    too small keeps the smallest. ValueError for unknown hardware.
    """
    # 1. The variant.
    named = [v for v in recipe.variants if hardware and v.hardware.lower().startswith(hardware.lower())]
    of_kind = [v for v in recipe.variants if v.kind == device.kind]
    if hardware and not named:
        known = "; ".join(v.hardware for v in recipe.variants) or "none, so leave it empty"
        raise ValueError(f"HARDWARE = {hardware!r} is no variant of {recipe.name}. There are: {known}.")
    if not named and not of_kind:
        return recipe
    variant = named[0] if named else next((v for v in of_kind if v.memory_gb <= device.memory_gb), of_kind[-1])

    # 2. What it fills.
    record = RECIPES.get(recipe.name, recipe)
    budget = record.evaluation.max_completion_length * variant.max_completion_length // record.grpo.max_completion_length
    wanted = {
        "max_length": variant.max_length,
        "load_in_4bit": variant.load_in_4bit,
        "lora.rank": variant.lora_rank,
        "lora.alpha": record.lora.alpha * variant.lora_rank // record.lora.rank,
        "priming.micro_batch": variant.sft_micro_batch,
        "sft.micro_batch": variant.sft_micro_batch,
        "grpo.micro_batch": variant.grpo_micro_batch,
        "grpo.max_completion_length": variant.max_completion_length,
        "grpo.generation_batch": variant.eval_batch_size,  # a cache of keys and values for each, as in measuring
        "evaluation.batch_size": variant.eval_batch_size,
        "evaluation.max_completion_length": budget,
    }
    fitted = replace(recipe, hardware=variant.hardware, needs=replace(recipe.needs, gpu_memory_gb=variant.memory_gb))
    changes = []
    for name, new in wanted.items():
        part, _, key = name.rpartition(".")
        of_recipe, of_record = (getattr(r, part) if part else r for r in (fitted, record))
        if of_recipe is None or of_record is None or getattr(of_recipe, key) != getattr(of_record, key):
            continue  # no such stage, or set by somebody
        if getattr(of_recipe, key) != new:
            changes.append(f"{name} {getattr(of_recipe, key)} → {new}")
            changed = replace(of_recipe, **{key: new})
            fitted = replace(fitted, **{part: changed}) if part else changed
    reason = "as HARDWARE says" if named else f"because the device is {device}"
    print(f"{recipe.name} for {variant.hardware}, {reason}{': ' if changes else ''}{', '.join(changes)}.")
    return fitted


def check_batches(recipe: Recipe) -> None:
    """ValueError, in the recipe's words, for batches that cannot be shared out evenly: before a model is loaded."""
    grpo = recipe.grpo
    completions = grpo.prompts_per_rollout * grpo.num_generations
    rollout = f"prompts_per_rollout × num_generations = {completions} completions"
    shares = [(f"{rollout} by updates_per_rollout", completions, grpo.updates_per_rollout)]
    update = completions // grpo.updates_per_rollout
    shares.append((f"{rollout} in {grpo.updates_per_rollout} updates, {update} each, by micro_batch", update, grpo.micro_batch))
    for name, stage in (("priming", recipe.priming), ("sft", recipe.sft)):
        if stage:
            shares.append((f"batch_size = {stage.batch_size} of {name} by micro_batch", stage.batch_size, stage.micro_batch))
    for what, size, parts in shares:
        if parts and size % parts:
            raise ValueError(f"The recipe {recipe.name} cannot divide {what} = {parts}: change one of them.")


def shortened(recipe: Recipe) -> Recipe:
    """The recipe with two steps of each stage and eight problems to measure on, on any device: to see that everything works."""

    def short(stage: Sft | None) -> Sft | None:
        return stage and replace(stage, examples=min(stage.examples, 2 * stage.batch_size), epochs=1)

    return replace(
        recipe,
        needs=Needs(),
        variants=(),
        priming=short(recipe.priming),
        sft=short(recipe.sft),
        grpo=replace(recipe.grpo, rollouts=2, prompts_per_rollout=2, max_completion_length=64, eval_problems=4),
        evaluation=replace(
            recipe.evaluation,
            problems=8,
            max_completion_length=64,
            twins=min(4, recipe.evaluation.twins),
            transfer=min(4, recipe.evaluation.transfer),
            sampled=min(4, recipe.evaluation.sampled),
        ),
    )
