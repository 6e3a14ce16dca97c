"""Whether W&B may be used online: a key in the environment, the netrc file, or a secret of Colab or Kaggle. Nothing is asked."""

import os

import wandb

from grpo_lab.hosts import detect_host
from grpo_lab.mirror import first_line

NAME = "WANDB_API_KEY"


def wandb_mode() -> tuple[str, str]:
    """("online", ""), or ("offline" or "disabled", why in a few words). WANDB_MODE and `wandb offline` are respected.

    The key is tried against the server, which takes 10 seconds or so where there is no network. One that a host's secret held
    stands in the environment afterwards, for W&B to find.
    """
    asked = os.environ.get("WANDB_MODE") or wandb.setup(wandb.Settings(silent=True)).settings.mode
    if asked in ("offline", "dryrun", "disabled"):
        return ("disabled" if asked == "disabled" else "offline"), "as WANDB_MODE or `wandb offline` asks"
    try:
        if wandb.login(prompt=False, verify=True):
            return "online", ""
        key, why = host_secret(detect_host())
        if key:
            os.environ[NAME] = key
            if wandb.login(prompt=False, verify=True):
                return "online", ""
            why = "W&B cannot be reached; on Kaggle, switch Internet on in the session options"
    except wandb.Error as error:
        return "offline", first_line(error)
    return "offline", why or f"no key in {NAME} or the netrc file"


def host_secret(host: str) -> tuple[str, str]:
    """The secret WANDB_API_KEY of Colab or Kaggle, or "" and why there is none; both are empty on your own machine."""
    try:
        if host == "colab":
            from google.colab import userdata

            return userdata.get(NAME) or "", f"the Colab secret {NAME} is empty"
        if host == "kaggle":
            from kaggle_secrets import UserSecretsClient

            return UserSecretsClient().get_secret(NAME) or "", f"the Kaggle secret {NAME} is empty"
    except Exception as error:  # the hosts' own types for a secret that is missing or not granted have no common parent
        return "", f"no key, and the {host.capitalize()} secret {NAME} cannot be read: {type(error).__name__}"
    return "", ""
