"""What the notebooks and scripts of a clone use, over `grpo_math`: data, models, training, measuring, looking."""
