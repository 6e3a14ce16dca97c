"""grpo-math: teach compact Qwen models to reason through maths with GRPO."""

REPOSITORY = (
    "https://github.com/grpo-math/grpo-math"  # the one place for the public address: badges and clone lines are made from it
)
