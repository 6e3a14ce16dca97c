"""A plain TRL script with the rewards of grpo-math. Yours has its own model, data and steps."""

from itertools import islice

import torch
from datasets import Dataset
from transformers import AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from grpo_lab.tiny.problems import Difficulty, generate
from grpo_math.formats import get_format, plain_template, user_turn
from grpo_math.rewards import check_golds, margin, reward_set

# The notebook beside this makes it. Or "Qwen/Qwen2.5-0.5B-Instruct", with a learning rate of 1e-5.
MODEL = "tiny-primed"

# The form of the answer, the rewards for it, and a template whose prompt opens the working.
fmt = get_format("tags")
rewards = reward_set(fmt)
print(f"A right answer earns at least {margin(rewards):g} more than any wrong one.")
tokenizer = AutoTokenizer.from_pretrained(MODEL, padding_side="left")
tokenizer.chat_template = plain_template(
    fmt
)  # for a model that chats: `chat_template(fmt)`, which also asks for the form

# Any data set will do that has the columns `prompt` and `answer`, where the gold answers stand.
problems = islice(generate("grpo", seed=0, difficulty=Difficulty(max_number=30)), 8)
rows = [
    {"prompt": user_turn(problem.question), "answer": str(problem.answer)} for problem in problems
]
check_golds([row["answer"] for row in rows])

on_gpu = torch.cuda.is_available()
if not on_gpu:  # TRL 1.15 has its loss as a Triton kernel only; on a GPU leave these two lines out
    from grpo_lab.training import use_torch_where_triton_is_missing

    use_torch_where_triton_is_missing()
args = GRPOConfig(
    output_dir="grpo-trl",
    max_steps=6,
    per_device_train_batch_size=64,
    num_generations=8,
    max_completion_length=96,
    learning_rate=3e-4,
    use_cpu=not on_gpu,
    bf16=on_gpu and torch.cuda.get_device_capability() >= (8, 0),
    logging_steps=1,
    save_strategy="no",
    report_to="none",
)
trainer = GRPOTrainer(
    model=MODEL,
    reward_funcs=rewards,
    args=args,
    train_dataset=Dataset.from_list(rows),
    processing_class=tokenizer,
)
trainer.train()
for entry in trainer.state.log_history[:-1]:
    print(
        {
            name: round(entry[f"rewards/{name}/mean"], 2)
            for name in (function.__name__ for function in rewards)
        }
    )
