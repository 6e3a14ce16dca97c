"""Whether a reference recipe fits a T4, measured without a hub: the real architecture with random weights, under a memory cap.

    python bench/gpu_fit.py --recipe qwen3-4b-dapo --backend auto --cap-gib 14.5 --steps 10

makes the model on disk and takes it through the project's own loading, adapter, settings and trainers: SFT steps on examples of
full length, GRPO steps, and one batch of the evaluation. A random model hardly ever ends its text, so every completion
has the greatest length: the worst case for memory and time. Writes one JSON row to results/gpu/<recipe>.json.

It departs from a real run in four things: the tokenizer is the tiny base's (its ids are the first of the vocabulary, and the
others decode to nothing), warm-up is left out so that the first step counts, one reward more tells completions apart, because
random ones earn the same and would leave no gradient, and on a T4 Unsloth would load some layers of its own 4-bit checkpoints in
16 bits, which takes up to 1 GiB more.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from grpo_lab import host, recipes, runs
from grpo_lab.recipes import Recipe

ROOT = Path(__file__).parents[1]
T4 = 16  # GiB; a cap up to this stands for a T4, so it trains in fp16 on any card
PROMPT = 200  # tokens, about
SFT_STEPS = 4  # fp16 may skip the first, while the loss scale is found
SHAPES = {
    "unsloth/Qwen3-4B-Base": {"hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8}
    | {"head_dim": 128, "intermediate_size": 9728},
    "Qwen/Qwen2.5-3B-Instruct": {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16}
    | {"num_key_value_heads": 2, "intermediate_size": 11008},
    "Qwen/Qwen2.5-0.5B-Instruct": {"hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14}
    | {"num_key_value_heads": 2, "intermediate_size": 4864},
}
COMMON_SHAPE = {"vocab_size": 151936, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "tie_word_embeddings": True}
SMOKE_SHAPE = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "num_key_value_heads": 2}
SMOKE_SHAPE |= {"head_dim": 16, "intermediate_size": 128, "vocab_size": 2000}


def write_model(base: str, folder: Path, smoke: bool = False) -> None:
    """Random fp16 weights of the base's architecture, one file a layer, so that memory holds one layer; and a tokenizer."""
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer, Qwen2Config, Qwen3Config

    tokenizer = AutoTokenizer.from_pretrained(
        ROOT / "data" / "tiny-base", model_max_length=COMMON_SHAPE["max_position_embeddings"]
    )
    config = (Qwen3Config if "Qwen3" in base else Qwen2Config)(
        **COMMON_SHAPE | SHAPES[base] | (SMOKE_SHAPE if smoke else {}),
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float16",
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    torch.manual_seed(0)
    tensors = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}  # tied to the embeddings
    places = {}
    for number, (_, names) in enumerate(groupby(tensors, key=lambda name: name.split(".")[:3])):
        file = f"model-{number:05}.safetensors"
        shard = {name: _random_weight(name, tensors[name].shape) for name in names}
        save_file(shard, folder / file, metadata={"format": "pt"})
        places |= dict.fromkeys(shard, file)
    size = sum(2 * tensor.numel() for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _random_weight(name: str, shape):
    import torch

    if name.endswith("norm.weight"):
        return torch.ones(shape, dtype=torch.float16)
    if name.endswith("bias"):
        return torch.zeros(shape, dtype=torch.float16)
    return torch.empty(shape, dtype=torch.float16).normal_(0, 0.02)


def fitted(recipe: Recipe, folder: Path, cap_gib: float, steps: int, smoke: bool) -> Recipe:
    """The recipe's variant for a card of `cap_gib`, with the model in `folder` and `steps` GRPO steps."""
    recipe = recipes.for_device(recipe, host.Device("cuda", "a card under the cap", cap_gib, (7, 5)))
    stage = recipe.sft or recipe.priming
    recipe = replace(
        recipe,
        base_model=str(folder),
        system_prompt="",
        priming=None,
        sft=stage and replace(stage, examples=SFT_STEPS * stage.batch_size, epochs=1, warmup_steps=0, source=None),
        grpo=replace(recipe.grpo, rollouts=steps, updates_per_rollout=1, warmup_steps=0, source=None),
    )
    if not smoke:
        return recipe
    short = replace(recipe.evaluation, max_completion_length=24)
    return replace(recipe, max_length=256, evaluation=short, grpo=replace(recipe.grpo, max_completion_length=24))


def force_precision(cap_gib: float) -> None:
    """Make every card train in fp16 where the cap stands for a T4, which has no bf16. float32 recipes stay as they are.

    Call it before the rest of grpo_lab is imported, which takes `compute_dtype` from `models` by name.
    """
    import torch

    from grpo_lab import models

    chosen = models.compute_dtype

    def as_on_a_t4(recipe: Recipe) -> torch.dtype:
        return torch.float16 if chosen(recipe) is torch.bfloat16 and cap_gib <= T4 else chosen(recipe)

    models.compute_dtype = as_on_a_t4


def make_rows(tokenizer, count: int, recipe: Recipe | None = None):
    """`count` rows with prompts of about PROMPT tokens; for SFT also completions in the recipe's form, of its length or more."""
    from datasets import Dataset

    from grpo_math.formats import get_format, user_turn

    def text(start: str, tokens: int) -> str:
        piece = " and 12 + 7 = 19"
        return start + piece * math.ceil(tokens / len(tokenizer(piece, add_special_tokens=False).input_ids))

    rows = [{"prompt": user_turn(text(f"Problem {i}:", PROMPT)), "answer": str(i)} for i in range(count)]
    if recipe:
        completion = get_format(recipe.format).render_target(text("Working:", recipe.max_length), "19")
        completion = [{"role": "assistant", "content": completion}]
        rows = [{"prompt": row["prompt"], "completion": completion} for row in rows]
    return Dataset.from_list(rows)


def tell_apart(completions, completion_ids, **kwargs) -> list[float]:
    """A reward that differs within a group of random completions."""
    return [float(sum(ids) % 7) for ids in completion_ids]


def make_watch():
    """A trainer callback that keeps each step's seconds and counts the fp16 steps that the gradient scaler skipped."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        seconds, skipped, accelerator = (), 0, None

        def on_step_begin(self, args, state, control, **kwargs):
            self.start = time.perf_counter()

        def on_optimizer_step(self, args, state, control, **kwargs):
            self.skipped += self.accelerator.optimizer_step_was_skipped

        def on_step_end(self, args, state, control, **kwargs):
            self.seconds += (time.perf_counter() - self.start,)  # the skipped-step check has waited for the card

    return Watch()


def watch_generation(model) -> dict[str, float]:
    """Seconds and tokens of every `model.generate` from now on; a row that ended early counts with its padding."""
    generate, total = model.generate, {"seconds": 0.0, "tokens": 0}

    def timed(*args, **kwargs):
        start = time.perf_counter()
        output = generate(*args, **kwargs)
        total["tokens"] += output.shape[0] * (output.shape[1] - kwargs["input_ids"].shape[1])
        total["seconds"] += time.perf_counter() - start  # `generate` waits for the card at each token, to see what has ended
        return output

    model.generate = timed
    return total


def adapter_weights(model) -> dict:
    """Copies, on the CPU in float32, of what is trained."""
    return {name: p.detach().float().cpu().clone() for name, p in model.named_parameters() if p.requires_grad}


def peak_memory() -> dict[str, float | None]:
    """GiB allocated by tensors, and reserved by PyTorch, at the most since the last reset; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return {"allocated_gib": None, "reserved_gib": None}
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return {"allocated_gib": round(allocated / 2**30, 2), "reserved_gib": round(reserved / 2**30, 2)}


def reset_memory() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def make_trainer(stage: str, model, tokenizer, recipe: Recipe, folder: Path, callbacks: list):
    """The project's own trainer of a stage, "sft" or "grpo", on rows that `make_rows` makes."""
    from trl import GRPOTrainer, SFTTrainer

    from grpo_lab import training
    from grpo_math import formats, rewards

    common = {"model": model, "processing_class": tokenizer, "callbacks": callbacks}
    if stage == "sft":
        rows = make_rows(tokenizer, recipe.sft.examples, recipe)  # the trainer cuts them to max_length
        config = training.sft_config(recipe, recipe.sft, folder, recipe.seed)
        return SFTTrainer(args=config, train_dataset=rows, **common)
    rows = make_rows(tokenizer, recipe.grpo.rollouts * recipe.grpo.prompts_per_rollout)
    config = training.grpo_config(recipe, folder, recipe.seed)
    reward_funcs = [*rewards.reward_set(formats.get_format(recipe.format), recipe.rewards), tell_apart]
    return GRPOTrainer(args=config, train_dataset=rows, reward_funcs=reward_funcs, **common)


def run_training(stage: str, model, tokenizer, recipe: Recipe, folder: Path) -> dict:
    """Train a stage; time, memory, losses, by how much the adapter changed, and how fast completions were generated."""
    from grpo_lab import models, training

    reset_memory()
    watch, before, total = make_watch(), adapter_weights(model), watch_generation(model)
    if stage == "grpo" and recipe.grpo.generation_batch:  # as `lab.Stage.train` does
        models.generate_in_parts(model, recipe.grpo.generation_batch)
    trainer = make_trainer(stage, model, tokenizer, recipe, folder / stage, [watch])
    watch.accelerator = trainer.accelerator
    training.train(trainer, folder / stage)
    after, logs = adapter_weights(model), trainer.state.log_history
    return {
        **peak_memory(),
        "step_seconds": round(statistics.median(watch.seconds[1:] or watch.seconds), 2),  # the first step also compiles
        "first_step_seconds": round(watch.seconds[0], 2),
        "steps": len(watch.seconds),
        "skipped_steps": watch.skipped,
        "losses": [log["loss"] for log in logs if "loss" in log],
        "grad_norms": [log["grad_norm"] for log in logs if "grad_norm" in log],
        "adapter_change": max(float((after[name] - before[name]).abs().max()) for name in after),
    } | (generation_speed(total) if stage == "grpo" else {})


def run_evaluation(model, tokenizer, recipe: Recipe) -> dict:
    from grpo_lab import evaluation

    reset_memory()
    plan, total = recipe.evaluation, watch_generation(model)
    prompts = evaluation.render_prompts(tokenizer, make_rows(tokenizer, plan.batch_size), "chat")
    generator = evaluation.TransformersGenerator(model, tokenizer, plan.batch_size)
    generator(prompts, evaluation.Decoding(plan.max_completion_length), seed=0)
    return peak_memory() | generation_speed(total)


def generation_speed(total: dict[str, float]) -> dict[str, float | None]:
    """None where the backend generated by another way than `model.generate`."""
    speed = total["tokens"] / total["seconds"] if total["tokens"] else None
    return {"generated_tokens": total["tokens"], "generated_tokens_per_second": speed and round(speed, 1)}


def fit(recipe: Recipe, backend: str, folder: Path, row: dict) -> None:
    """Run every stage of the recipe and put what it measured in `row`; out of memory is an entry "error" with its stage."""
    import torch

    from grpo_lab import models

    stage = "loading"
    try:
        model, tokenizer = models.load_base(recipe, ROOT, backend)
        model = models.add_adapter(model, recipe.lora, backend, recipe.seed)
        row["loading"] = peak_memory()
        row["sft"] = None
        for stage in ("sft", "grpo") if recipe.sft else ("grpo",):
            row[stage] = run_training(stage, model, tokenizer, recipe, folder)
            print(f"{stage}: {row[stage]}", flush=True)
        stage = "evaluation"
        row[stage] = run_evaluation(model, tokenizer, recipe)
        print(f"{stage}: {row[stage]}", flush=True)
    except torch.cuda.OutOfMemoryError as error:
        row["error"] = f"out of memory in {stage}: {str(error).splitlines()[0]}"


def cap_memory(cap_gib: float) -> str:
    """Let PyTorch have no more than `cap_gib` of the card; the card's name, or "CPU" where there is none."""
    import torch

    if not torch.cuda.is_available():
        return "CPU"
    card = torch.cuda.get_device_properties(0)
    torch.cuda.set_per_process_memory_fraction(min(1.0, cap_gib * 2**30 / card.total_memory))
    return f"{card.name}, {card.total_memory / 2**30:.1f} GiB, compute capability {card.major}.{card.minor}"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", required=True, choices=[name for name in recipes.RECIPES if name != "tiny"])
    parser.add_argument("--backend", default="auto", choices=runs.BACKENDS)
    parser.add_argument("--cap-gib", type=float, default=14.5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--out", type=Path, help="default: results/gpu/<recipe>.json")
    parser.add_argument(
        "--smoke", action="store_true", help="one small layer and short texts, on any device: to see that it runs"
    )
    return parser.parse_args()


def main() -> int:
    args = arguments()
    device = host.use_one_card(host.detect_device())
    if device.kind != "cuda" and not args.smoke:
        print("This needs a CUDA card and the machine shows none; --smoke runs a small shape without one.", file=sys.stderr)
        return 2
    backend = runs.choose_backend(args.backend, device.kind)
    card = cap_memory(args.cap_gib)
    force_precision(args.cap_gib)
    from grpo_lab import models

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        recipe = fitted(recipes.get_recipe(args.recipe), folder / "model", args.cap_gib, args.steps, args.smoke)
        (folder / "model").mkdir()
        write_model(recipes.get_recipe(args.recipe).base_model, folder / "model", args.smoke)
        row = {"recipe": args.recipe, "hardware": recipe.hardware, "backend": backend, "card": card, "cap_gib": args.cap_gib}
        row |= {"precision": str(models.compute_dtype(recipe)), "environment": runs.describe_environment()}
        fit(recipe, backend, folder, row)
    out = args.out or ROOT / "results" / "gpu" / f"{args.recipe}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(row, indent=2) + "\n")
    print(row.get("error", f"{args.recipe} went through; written to {out}"))
    return int("error" in row)


if __name__ == "__main__":
    sys.exit(main())
