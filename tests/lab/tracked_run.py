"""A run of two stages, tracked: a real GRPO training of the tiny base that is killed and continued, and an evaluation.

`python tracked_run.py <kind> <run folder> <part>`, each part in a process of its own: "killed" ends after its second step as a
session does that is cut off, "continued" goes on from the checkpoint to the third step, "evaluation" has no training. "orphaned"
trains to the end, but loses the tracker's own processes after the first step.
"""

import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from grpo_lab.tracking import open_tracker

ROOT = Path(__file__).parents[2]
STEPS, PROMPTS, GENERATIONS = 3, 2, 4
RESULT = {"accuracy": {"base": 0.1, "sft": 0.3, "grpo": 0.5}, "flags": {"grpo": {"H1": 0.096}}}
ROWS = [{"checkpoint": "+ SFT", "accuracy": 0.3}, {"checkpoint": "+ GRPO", "accuracy": 0.5}]


@dataclass(frozen=True)
class Recipe:
    """As in the notebooks' settings: a dataclass in a dict."""

    name: str = "tiny"


def accuracy(step: int) -> float:
    """What is "measured" on the held-out problems."""
    return 0.5 + step / 10


def short(completions, log_extra=None, **kwargs) -> list[float]:
    """A reward that varies within a group, and a column of our own in the tables of completions."""
    log_extra("id", [f"problem-{i}" for i in range(len(completions))])
    return [float(len(completion) % 5) for completion in completions]


def grpo(kind: str, run: Path, part: str) -> None:
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, PrinterCallback, TrainerCallback, logging
    from trl import GRPOConfig, GRPOTrainer

    from grpo_lab.runs import latest_checkpoint
    from grpo_lab.training.log_probs import use_torch_where_triton_is_missing

    logging.disable_progress_bar()
    use_torch_where_triton_is_missing()
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "data" / "tiny-base")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(ROOT / "data" / "tiny-base", dtype=torch.float32)

    class Measure(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            if state.global_step == 0:
                self.log(0)

        def on_step_end(self, args, state, control, **kwargs):
            self.log(state.global_step)
            if part == "orphaned" and state.global_step == 1:
                for process in psutil.Process().children(recursive=True):
                    process.kill()
                time.sleep(0.2)

        def log(self, step: int) -> None:
            tracker.log({"eval/accuracy": accuracy(step), "eval/accuracy_low": 0.4}, step)

        def on_save(self, args, state, control, **kwargs):
            if part == "killed" and state.global_step == 2:
                time.sleep(2)
                os.kill(os.getpid(), signal.SIGKILL)

    checkpoint = latest_checkpoint(run / "grpo")
    with open_tracker(kind, run, "grpo", {"recipe": Recipe(), "made_up": 7}) as tracker:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=short,
            args=GRPOConfig(
                output_dir=str(run / "grpo"),
                max_steps=STEPS,
                per_device_train_batch_size=PROMPTS * GENERATIONS,
                num_generations=GENERATIONS,
                max_completion_length=16,
                logging_steps=1,
                save_steps=1,
                bf16=False,
                use_cpu=True,
                disable_tqdm=True,
                log_completions=True,
                num_completions_to_print=0,
                **tracker.trainer_args,
            ),
            train_dataset=Dataset.from_list([{"prompt": f"What is {i} + 1?"} for i in range(8)]),
            processing_class=tokenizer,
            peft_config=LoraConfig(r=4, task_type="CAUSAL_LM"),
            callbacks=[Measure()],
        )
        trainer.remove_callback(PrinterCallback)
        print("THE TRAINING BEGINS")
        print("THE TRAINING BEGINS", file=sys.stderr)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model(str(run / "grpo" / "adapter"))
        tracker.save_files("grpo-adapter", "model", [run / "grpo" / "adapter"])


def evaluation(kind: str, run: Path) -> None:
    (run / "samples").mkdir()
    (run / "evaluation.json").write_text(json.dumps(RESULT))
    with open_tracker(kind, run, "evaluation", {"recipe": Recipe()}) as tracker:
        tracker.use_files("grpo-adapter")
        (run / "samples" / "grpo.jsonl").write_text("{}\n")
        tracker.log_table("results", ROWS)
        tracker.summarise(RESULT)
        tracker.save_files("evaluation", "evaluation", [run / "samples", run / "evaluation.json"])


if __name__ == "__main__":
    kind, run, part = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if part == "evaluation":
        evaluation(kind, run)
    else:
        grpo(kind, run, part)
