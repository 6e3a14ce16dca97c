"""From a recipe to TRL's settings."""

from collections.abc import Sequence
from pathlib import Path

import torch
from trl import GRPOConfig, SFTConfig

from grpo_lab import models
from grpo_lab.recipes import Recipe, Sft

# What both trainers are told beside `device_args`, and every default that would otherwise be a library's.
COMMON = {
    "lr_scheduler_type": "linear",
    "weight_decay": 0.0,
    "optim": "adamw_torch",
    "save_strategy": "steps",
    "save_total_limit": 2,
    "disable_tqdm": True,
}

VLLM_SHARE = 0.35  # of the card's memory, for vLLM's weights and cache


def device_args(recipe: Recipe) -> dict[str, bool]:
    """Where and how precisely to train: chosen once, passed explicitly, because TRL's own default is bf16."""
    dtype, on_gpu = models.compute_dtype(recipe), torch.cuda.is_available()
    return {
        "use_cpu": not on_gpu and not torch.backends.mps.is_available(),
        "bf16": dtype is torch.bfloat16,
        "fp16": dtype is torch.float16,
        "dataloader_pin_memory": on_gpu,
        "gradient_checkpointing": on_gpu,
    }


def sft_config(recipe: Recipe, stage: Sft, output_dir: Path, seed: int, report_to: Sequence[str] = (), **places) -> SFTConfig:
    """TRL's settings for one supervised stage; the loss is on the completion only.

    report_to: "wandb" or "trackio"; places: under which name it reports and what it pushes (see `lab.Stage.trainer_args`).
    """
    return SFTConfig(
        output_dir=str(output_dir),
        seed=seed,
        num_train_epochs=stage.epochs,
        per_device_train_batch_size=stage.micro_batch or stage.batch_size,
        gradient_accumulation_steps=stage.batch_size // (stage.micro_batch or stage.batch_size),
        learning_rate=stage.learning_rate,
        warmup_steps=stage.warmup_steps,
        max_length=recipe.max_length,
        completion_only_loss=True,
        packing=False,
        logging_steps=1,
        save_steps=20,
        **device_args(recipe),
        report_to=list(report_to),
        **COMMON,
        **places,
    )


def grpo_config(
    recipe: Recipe, output_dir: Path, seed: int, use_vllm: bool = False, report_to: Sequence[str] = (), **places
) -> GRPOConfig:
    """TRL's settings for GRPO: a rollout's completions are shared out evenly to its updates. One row is logged a rollout.

    TRL keeps every completion in `completions/` of the output folder, and prints none. report_to, places: as in `sft_config`.
    use_vllm: generate with vLLM on the same card, which keeps a second copy of the weights (a share VLLM_SHARE of its memory).
    """
    plan = recipe.grpo
    updates = plan.updates_per_rollout
    update_size = plan.prompts_per_rollout * plan.num_generations // updates
    micro = plan.micro_batch or update_size
    return GRPOConfig(
        output_dir=str(output_dir),
        seed=seed,
        max_steps=plan.rollouts * updates,
        learning_rate=plan.learning_rate,
        warmup_steps=plan.warmup_steps,
        max_grad_norm=plan.max_grad_norm,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=update_size // micro,
        steps_per_generation=updates * (update_size // micro),
        num_generations=plan.num_generations,
        max_completion_length=plan.max_completion_length,
        temperature=plan.temperature,
        top_p=1.0,
        top_k=0,
        beta=plan.beta,
        epsilon=plan.epsilon,
        loss_type=plan.loss_type,
        scale_rewards=plan.scale_rewards,
        num_iterations=1,
        mask_truncated_completions=False,
        use_vllm=use_vllm,
        vllm_mode="colocate",
        vllm_gpu_memory_utilization=VLLM_SHARE,
        logging_steps=updates,
        log_completions=True,
        num_completions_to_print=0,
        save_steps=plan.save_every * updates,
        **device_args(recipe),
        report_to=list(report_to),
        **COMMON,
        **places,
    )
