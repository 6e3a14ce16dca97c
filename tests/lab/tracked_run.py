"""GRPO and an evaluation, tracked, on the tiny base: run in a process of its own, `python tracked_run.py <kind> <run folder>`.

GRPO takes two updates, is cut off after the first and goes on from its checkpoint, through `lab` as in the notebooks.
"""

import sys
from dataclasses import replace
from pathlib import Path

from grpo_lab import lab
from grpo_lab.mirror import Mirror
from grpo_lab.recipes import TINY

ROOT = Path(__file__).parents[2]
PLAN = replace(
    TINY.grpo, rollouts=2, prompts_per_rollout=2, num_generations=4, updates_per_rollout=1, max_completion_length=24, save_every=1
)
RECIPE = replace(TINY, grpo=replace(PLAN, eval_every=1))
COMPLETIONS = 8  # a rollout
ACCURACY = (0.25, 0.5, 0.75)  # before, after the first update, after the second


def train(here: lab.Lab, stop_after: int | None) -> None:
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    from grpo_lab import data, models, training
    from grpo_math import formats, rewards

    class Stop(TrainerCallback):
        def on_save(self, args, state, control, **kwargs):
            if state.global_step == stop_after:
                raise KeyboardInterrupt

    base, tokenizer = models.load_base(RECIPE, ROOT, "peft")
    model = models.add_adapter(base, RECIPE.lora, "peft", seed=0)
    fmt = formats.get_format("tags")
    recorder = training.Recorder(rewards.reward_set(fmt), fmt, tokenizer)

    def probe():
        accuracy = ACCURACY[trainer.state.global_step]
        return {"eval_accuracy": accuracy, "eval_low": accuracy - 0.1, "eval_high": accuracy + 0.1}

    with here.stage("grpo") as stage:
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=recorder.functions,
            args=training.grpo_config(RECIPE, **stage.trainer_args),
            train_dataset=data.load_problems(RECIPE, "grpo", PLAN.rollouts * PLAN.prompts_per_rollout),
            processing_class=tokenizer,
            callbacks=[*stage.watch(recorder, probe, lambda rows, latest: ""), Stop()],
        )
        stage.train(trainer)


def main(kind: str, run: Path) -> None:
    import os

    from grpo_lab.mirror import open_mirror

    if kind == "trackio":
        os.environ["TRACKIO_DIR"] = str(run.resolve() / "trackio")  # as `lab.start` does
    mirror: Mirror = open_mirror("none", run, "local")
    here = lab.Lab(RECIPE, run, ROOT, 0, "peft", mirror, kind, use_vllm=False)
    try:
        train(here, stop_after=1)
    except KeyboardInterrupt:
        print("cut off")
    train(here, stop_after=None)
    (run / "samples").mkdir()
    (run / "samples" / "grpo.jsonl").write_text("{}\n")
    with here.stage("evaluation") as stage:
        stage.tracker.use_files("grpo-adapter")
        stage.tracker.summarise({"grpo": {"accuracy_flexible": 0.75, "flags": [1]}})
        stage.tracker.log_table("results", [{"checkpoint": "base", "accuracy": 0.5}, {"checkpoint": "+ GRPO", "accuracy": 0.75}])
        stage.tracker.save_files("evaluation", "evaluation", [run / "samples"])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
