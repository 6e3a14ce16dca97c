"""Push an export to the hub, privately unless told otherwise, with the run's model card as its README."""

import re
from pathlib import Path

from grpo_lab.export.sizes import size_of, tell
from grpo_lab.host import first_line
from grpo_lab.mirror import as_os_errors

NOTES = {  # what stands above the card, which is written for the adapter
    "adapter": ("peft", "This repository holds the LoRA adapter: wherever the card names a path of it, put `{repo}`."),
    "merged": (
        "transformers",
        'This repository holds the adapter folded into its base at 16 bits: `AutoModelForCausalLM.from_pretrained("{repo}")` '
        "loads it whole, without PEFT. The measurements below are the adapter's.",
    ),
    "gguf": (
        "gguf",
        "This repository holds a GGUF for llama.cpp and Ollama (`ollama create NAME -f Modelfile`), made of the adapter folded "
        "into its base. The measurements below are the adapter's.",
    ),
}


def open_repository(repo: str, private: bool = True) -> None:
    """Make the repository if it does not exist. OSError, in a sentence, for no token, no right, or one that is public already.

    Call it before anything long: what would be refused at the end is refused here.
    """
    from huggingface_hub import HfApi

    try:
        with as_os_errors():
            HfApi().create_repo(repo, private=private, exist_ok=True)
            public = not HfApi().model_info(repo).private
    except OSError as error:
        raise OSError(
            f"The hub repository {repo} cannot be written to ({first_line(error)}): set HF_TOKEN to a "
            "token that may write there (a secret on Colab and Kaggle, an environment variable elsewhere), and check the name."
        ) from error
    if private and public:
        raise OSError(f"The hub repository {repo} is public: choose another name, or say private=False.")


def require_card(run: Path) -> Path:
    """The run's model card; FileNotFoundError where it has none yet."""
    card = run / "MODEL_CARD.md"
    if not card.is_file():
        raise FileNotFoundError(f"There is no {card.name} in {run.name}: run the cell that writes the card first.")
    return card


def push(folder: Path, kind: str, card: Path, repo: str) -> str:
    """Upload an exported folder to a repository that `open_repository` made; returns its address. kind: one of NOTES.

    OSError where the upload fails.
    """
    from huggingface_hub import HfApi

    (folder / "README.md").write_text(_card(card.read_text(encoding="utf-8"), kind, repo), encoding="utf-8")
    print(f"Uploading {tell(size_of(folder))} to {repo}.")
    try:
        with as_os_errors():
            done = HfApi().upload_folder(repo_id=repo, folder_path=folder, commit_message=f"The {kind} of {card.parent.name}")
    except OSError as error:
        raise OSError(
            f"Uploading to {repo} failed ({first_line(error)}): what was exported lies in {folder}, so run the cell again, or "
            "check the repository's quota on the hub."
        ) from error
    return done.commit_url.partition("/commit/")[0]


def _card(card: str, kind: str, repo: str) -> str:
    """The card with the library that reads this export in its front matter, and below that a note on what lies here."""
    library, note = NOTES[kind]
    card = re.sub(r"^library_name: .*$", f'library_name: "{library}"', card, count=1, flags=re.M)
    _, front, body = card.split("---\n", 2)
    return f"---\n{front}---\n\n> {note.format(repo=repo)}\n{body}"
