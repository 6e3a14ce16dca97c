"""A machine that trains with its run mirrored to the hub: `python hub_machine.py <stage> <run folder> <mirror> [<step>]`.

A stage ("sft" or "grpo") takes three updates on the tiny base and saves each, through `lab` as in the notebooks. With a step,
the machine dies without a word, once the folder that HUB_FOLDER names has served that step's checkpoint.
"""

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from grpo_lab import lab
from grpo_lab.mirror import open_mirror
from grpo_lab.recipes import TINY

PATIENCE = 60  # seconds for one push to the loopback hub
ROOT = Path(__file__).parents[2]
PLAN = replace(TINY.grpo, rollouts=3, prompts_per_rollout=2, num_generations=4, updates_per_rollout=1, max_completion_length=24)
RECIPE = replace(TINY, sft=replace(TINY.sft, examples=24, batch_size=8), grpo=replace(PLAN, save_every=1))

MEASURED = {"eval_accuracy": 0.5, "eval_low": 0.4, "eval_high": 0.6}


def train(here: lab.Lab, name: str, die_at: int | None) -> None:
    from transformers import TrainerCallback
    from trl import GRPOTrainer, SFTTrainer

    from grpo_lab import data, models, training
    from grpo_math import formats, rewards

    class Die(TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            kept = Path(os.environ["HUB_FOLDER"]) / "models" / str(args.hub_model_id) / "last-checkpoint" / "trainer_state.json"
            if not 0 < state.global_step <= (die_at or 0):
                return
            # The trainer leaves out a push while the one before is under way, so each is waited for.
            until = time.monotonic() + PATIENCE
            while not kept.is_file() or json.loads(kept.read_text())["global_step"] != state.global_step:
                if time.monotonic() > until:
                    raise TimeoutError(f"checkpoint-{state.global_step} has not reached the hub in {PATIENCE} s")
                time.sleep(0.1)
            if state.global_step == die_at:
                os._exit(9)
            time.sleep(1)  # until the trainer knows that its push is done

    base, tokenizer = models.load_base(RECIPE, ROOT, "peft")
    with here.stage(name) as stage:
        if name == "sft":
            args = training.sft_config(RECIPE, RECIPE.sft, **stage.trainer_args)
            args.save_steps = 1
            trainer = SFTTrainer(
                model=models.add_adapter(base, RECIPE.lora, "peft", seed=0),
                args=args,
                train_dataset=data.load_sft_examples(RECIPE, 0).select_columns(["prompt", "completion"]),
                callbacks=[*stage.watch(), Die()],
                processing_class=tokenizer,
            )
        else:
            fmt = formats.get_format(RECIPE.format)
            recorder = training.Recorder(rewards.reward_set(fmt), RECIPE, tokenizer)
            model = models.add_adapter(base, RECIPE.lora, "peft", seed=0)
            models.fill_adapter(model, here.adapter("sft"))
            trainer = GRPOTrainer(
                model=model,
                reward_funcs=recorder.functions,
                args=training.grpo_config(RECIPE, **stage.trainer_args),
                train_dataset=data.load_problems(RECIPE, "grpo", PLAN.rollouts * PLAN.prompts_per_rollout),
                callbacks=[*stage.watch(recorder, lambda: MEASURED, lambda rows, latest: ""), Die()],
                processing_class=tokenizer,
            )
        stage.train(trainer)
        print("steps", trainer.state.global_step)


if __name__ == "__main__":
    stage_name, folder, where, *step = sys.argv[1:]
    run = Path(folder)
    here = lab.Lab(RECIPE, run, ROOT, 0, "peft", open_mirror(where, run, "local"), "none", use_vllm=False)
    train(here, stage_name, int(step[0]) if step else None)
