"""Train a stage: from its newest checkpoint or the start, every argument saved, every update counted, what changed measured."""

from pathlib import Path

from accelerate import Accelerator
from transformers import PrinterCallback, Trainer, TrainerCallback

from grpo_lab.mirror import Mirror
from grpo_lab.runs import checkpoint_step, latest_checkpoint
from grpo_lab.training.learning import Learning, change_by_layer, fingerprint, lora_scale, trainable_weights
from grpo_lab.training.log_probs import use_torch_where_triton_is_missing
from grpo_lab.training.watching import say


class Stopped(KeyboardInterrupt):
    """Somebody stopped a training. A notebook shows its sentence, no traceback, and runs no later cell."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def train(trainer: Trainer, stage_dir: Path, mirror: Mirror | None = None) -> Learning:
    """Train from the newest complete checkpoint of the stage, which is said, or from the start. Saves every trainer argument.

    Each checkpoint is mirrored. Says how many updates were applied and how far the adapter moved, in red where it did not, and
    keeps that in `<stage>_learning.json`. RuntimeError where every single update was skipped, or for a trainer that was used.
    Raises Stopped where it is interrupted, with the weights as they were before, so that a new trainer may follow.
    """
    if trainer.state.global_step:  # within it TRL counts rollouts and keeps the last of them
        raise RuntimeError("This trainer was used already: make it again (run its cell); it goes on from the newest checkpoint.")
    use_torch_where_triton_is_missing()
    stage_dir.mkdir(parents=True, exist_ok=True)
    (stage_dir / "trainer_args.json").write_text(trainer.args.to_json_string())
    trainer.remove_callback(PrinterCallback)  # the metrics file keeps every value; printing each as well would bury the notebook
    checkpoint = latest_checkpoint(stage_dir)
    if checkpoint:
        print(f"continuing from {stage_dir.name}/{checkpoint.name}")
        if checkpoint_step(checkpoint) == trainer.args.max_steps:  # all is done: TRL would write its last table anew, empty
            trainer.log_completions = False
    updates = Updates(trainer.accelerator)
    trainer.callback_handler.callbacks.insert(0, updates)  # before those that write the log down
    if mirror:
        trainer.add_callback(MirrorCheckpoints(mirror))
    before = trainable_weights(trainer.model)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except KeyboardInterrupt:
        for name, weight in trainer.model.named_parameters():
            weight.data.copy_(before.get(name, weight.data))
        kept = latest_checkpoint(stage_dir)
        found, goal = (f"{kept.name} is kept", "go on") if kept else ("no checkpoint is kept yet", "begin anew")
        raise Stopped(f"Stopped at step {trainer.state.global_step:,}: {found}; run this cell again to {goal}.") from None
    updates.check()
    after = trainable_weights(trainer.model)
    change = change_by_layer(before, after, lora_scale(trainer.model))
    learning = Learning(fingerprint(before), fingerprint(after), updates.applied, updates.skipped, change)
    learning.save(stage_dir.with_name(f"{stage_dir.name}_learning.json"))
    say(str(learning), bad=not learning.learned)
    return learning


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
        state.log_history[-1]["skipped_updates"] = self.skipped  # so it stands in the metrics file, and goes on after a cut

    def check(self) -> None:
        """RuntimeError where no update at all was applied, because every one was skipped."""
        if self.skipped and not self.applied:
            raise RuntimeError(
                f"All {self.skipped} updates were skipped: the gradients overflow in fp16, and nothing was learned. Lower the "
                "learning rate, or use a card with bf16 (compute capability 8 or higher)."
            )


class MirrorCheckpoints(TrainerCallback):
    """Copies what is new to where the host does not forget it, at each checkpoint."""

    def __init__(self, mirror: Mirror):
        self.mirror = mirror

    def on_save(self, args, state, control, **kwargs):
        self.mirror.copy_new()
