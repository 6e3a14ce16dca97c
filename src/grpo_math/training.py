"""From a recipe to trainer settings, and the callbacks that keep what a run measured. The notebooks construct the trainers.

Call `runs.choose_backend` before this module is imported: Unsloth patches TRL.
"""

import csv
import logging
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
import trl.trainer.utils as trl_utils
from accelerate import Accelerator
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback
from trl import GRPOConfig, SFTConfig

from grpo_math.mirror import Mirror
from grpo_math.models import compute_dtype
from grpo_math.recipes import Recipe, Sft
from grpo_math.runs import latest_checkpoint

log = logging.getLogger(__name__)

# What both trainers are told, and every default that would otherwise be a library's.
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
    dtype, on_gpu = compute_dtype(recipe), torch.cuda.is_available()
    return {
        "use_cpu": not on_gpu and not torch.backends.mps.is_available(),
        "bf16": dtype is torch.bfloat16,
        "fp16": dtype is torch.float16,
        "dataloader_pin_memory": on_gpu,
        "gradient_checkpointing": on_gpu,
    }


def sft_config(recipe: Recipe, stage: Sft, output_dir: Path, seed: int, report_to: list[str]) -> SFTConfig:
    """TRL's settings for one supervised stage; the loss is on the completion only."""
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
        report_to=report_to,
        **device_args(recipe),
        **COMMON,
    )


def grpo_config(recipe: Recipe, output_dir: Path, seed: int, report_to: list[str], use_vllm: bool = False) -> GRPOConfig:
    """TRL's settings for GRPO: a rollout's completions are shared out evenly to its updates. One row is logged a rollout.

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
        log_completions=False,
        save_steps=plan.save_every * updates,
        report_to=report_to,
        **device_args(recipe),
        **COMMON,
    )


class TorchLogProbs:
    """Plain PyTorch in the place of TRL's Triton kernel, with the kernel's call form, for machines without Triton."""

    @staticmethod
    def apply(hidden, weight, bias, targets, temperature, chunk_size, softcap, logit_scale, outputs):
        """Log-probability of each target (N,) and, where asked for, the entropy (N,) in nats, from hidden states (N, D)."""
        logits = F.linear(hidden, weight, bias).float() * logit_scale
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        log_probs = (logits / temperature).log_softmax(-1)
        chosen = log_probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        asked = set(outputs) - {"log_probs", "entropy", "mean_logits", "is_top1"}
        if asked:
            raise NotImplementedError(
                f"TRL asked for {sorted(asked)}, which needs its Triton kernel: train with BACKEND = 'unsloth'."
            )
        return (
            chosen,
            -(log_probs.exp() * log_probs).sum(-1) if "entropy" in outputs else None,
            None,
            logits.mean(-1) if "mean_logits" in outputs else None,
            (log_probs.argmax(-1) == targets) if "is_top1" in outputs else None,
        )


def use_torch_where_triton_is_missing() -> bool:
    """TRL 1.15 has its loss only as a Triton kernel; put plain PyTorch there if it is missing. Says so, and returns whether."""
    if trl_utils._ChunkedLogProbFunction is not None:
        return False
    trl_utils._ChunkedLogProbFunction = TorchLogProbs
    log.warning("Triton is not installed: TRL's loss is computed by plain PyTorch, which takes more memory.")
    return True


def train(trainer: Trainer, stage_dir: Path, mirror: Mirror | None = None) -> None:
    """Train from the newest complete checkpoint of the stage, which is said, or from the start. Saves every trainer argument.

    Each checkpoint is mirrored. Says how many updates were applied; RuntimeError where every single one was skipped.
    """
    use_torch_where_triton_is_missing()
    stage_dir.mkdir(parents=True, exist_ok=True)
    (stage_dir / "trainer_args.json").write_text(trainer.args.to_json_string())
    trainer.remove_callback(PrinterCallback)  # the metrics file keeps every value; printing each as well would bury the notebook
    checkpoint = latest_checkpoint(stage_dir)
    if checkpoint:
        print(f"continuing from {stage_dir.name}/{checkpoint.name}")
    updates = Updates(trainer.accelerator)
    trainer.callback_handler.callbacks.insert(0, updates)  # before those that write the log down
    if mirror:
        trainer.add_callback(MirrorCheckpoints(mirror))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    updates.report()


class Updates(TrainerCallback):
    """Counts the updates that changed the weights, and those that the fp16 loss scaler skipped because a gradient overflowed."""

    def __init__(self, accelerator: Accelerator):
        self.accelerator = accelerator
        self.applied = self.skipped = 0

    def on_optimizer_step(self, args, state, control, **kwargs):
        if self.accelerator.optimizer_step_was_skipped:
            self.skipped += 1
        else:
            self.applied += 1

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs is not None:
            logs["skipped_updates"] = self.skipped

    def report(self) -> None:
        if self.skipped and not self.applied:
            raise RuntimeError(
                f"All {self.skipped} updates were skipped: the gradients overflow in fp16, and nothing was learned. Lower the "
                "learning rate, or use a card with bf16 (compute capability 8 or higher)."
            )
        print(f"{self.applied} updates applied, {self.skipped} skipped")


class MirrorCheckpoints(TrainerCallback):
    """Copies what is new to where the host does not forget it, at each checkpoint."""

    def __init__(self, mirror: Mirror):
        self.mirror = mirror

    def on_save(self, args, state, control, **kwargs):
        self.mirror.copy_new()


class Progress(TrainerCallback):
    """One progress bar with the loss and, in GRPO, the mean reward."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc=Path(args.output_dir).name)

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.bar.set_postfix({key: f"{logs[key]:.3f}" for key in ("loss", "reward") if key in (logs or {})}, refresh=False)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update()

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


class MetricsFile(TrainerCallback):
    """Keeps every value that the trainer logs in one CSV, a row a step, written anew at each step, so a cut run loses nothing.

    measure: an optional function that returns more values (held-out accuracy, say), called every `every` steps and at the last.
    """

    def __init__(self, path: Path, measure: Callable[[], dict[str, float]] | None = None, every: int = 10):
        self.path, self.measure, self.every = path, measure, every
        self.rows: dict[int, dict[str, float]] = {}

    def on_train_begin(self, args, state, control, **kwargs):
        if self.path.is_file() and state.global_step > 0:
            with open(self.path, newline="") as file:
                old = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self.rows = {int(row["step"]): row | {"step": int(row["step"])} for row in old if row["step"] <= state.global_step}
        elif self.measure:
            self._keep(0, self.measure())

    def on_log(self, args, state, control, logs=None, **kwargs):
        self._keep(state.global_step, {k: v for k, v in (logs or {}).items() if isinstance(v, int | float)})

    def on_step_end(self, args, state, control, **kwargs):
        if self.measure and (state.global_step % self.every == 0 or state.global_step == state.max_steps):
            self._keep(state.global_step, self.measure())

    def _keep(self, step: int, values: dict[str, float]) -> None:
        self.rows.setdefault(step, {"step": step}).update(values)
        columns = list(dict.fromkeys(key for row in self.rows.values() for key in row))
        with open(self.path, "w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(row for _, row in sorted(self.rows.items()))
