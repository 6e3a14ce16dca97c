from grpo_lab.hosts import *  # noqa: F403  TEMPORARY
from grpo_lab.hosts.checks import existing_parent  # noqa: F401
from grpo_lab.hosts.machine import GIB, memory_gb  # noqa: F401


def first_line(error):
    return next(iter(str(error).splitlines()), "") or type(error).__name__
