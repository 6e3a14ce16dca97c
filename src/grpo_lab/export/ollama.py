"""An Ollama Modelfile: the GGUF with our chat template, system prompt, stop marks and decoding.

Ollama's templates are Go's `text/template`, not Jinja, and it guesses one where it is given none; so the two templates of
`formats` are written here a second time, and the tests hold both to the same prompts.
"""

from collections.abc import Sequence
from pathlib import Path

from transformers import AutoConfig, AutoTokenizer

from grpo_lab.recipes import Recipe
from grpo_math.formats import get_format, plain_prompt

CHATML = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
ANSWERED = "{{ .Content }}<|im_end|>\n"


def go_template(recipe: Recipe) -> str:
    """The recipe's chat template in Go's language, with the generation prompt that opens the working.

    It has no default system turn, which in Ollama is the Modelfile's SYSTEM.
    """
    before, after = plain_prompt("\0").split("\0")
    plain = f'{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{before}{{{{ .Content }}}}{after}{{{{ else }}}}'
    plain += f"{ANSWERED}{{{{ end }}}}{{{{ end }}}}"
    return (plain if recipe.template == "plain" else CHATML) + get_format(recipe.format).reasoning_start


def modelfile(recipe: Recipe, source: str, stops: Sequence[str], context: int) -> str:
    """The text of the Modelfile. source: the GGUF, relative to it; stops: end marks; context: tokens that the model can read."""
    fmt, budget = get_format(recipe.format), recipe.evaluation.max_completion_length
    system = fmt.system_prompt if recipe.system_prompt is None else recipe.system_prompt
    told = system and recipe.template != "plain"
    return "\n".join(
        (
            f"FROM {source}",
            f'TEMPLATE """{go_template(recipe)}"""',
            *([f'SYSTEM """{system}"""'] if told else []),
            *(f'PARAMETER stop "{stop}"' for stop in dict.fromkeys(stops)),
            "# As it was measured: greedily, within this budget, and without a penalty on what repeats, as digits do.",
            "PARAMETER temperature 0",
            "PARAMETER repeat_penalty 1",
            f"PARAMETER num_predict {budget}",
            f"PARAMETER num_ctx {min(context, recipe.max_length + budget)}",
            "",
        )
    )


def export_modelfile(gguf: Path, merged: Path, recipe: Recipe) -> Path:
    """Write `Modelfile` beside the GGUF and return its path; end marks and context are the merged model's."""
    tokenizer, config = AutoTokenizer.from_pretrained(merged), AutoConfig.from_pretrained(merged)
    stops = (tokenizer.eos_token, tokenizer.pad_token)
    path = gguf.parent / "Modelfile"
    path.write_text(modelfile(recipe, f"./{gguf.name}", stops, config.max_position_embeddings), encoding="utf-8")
    return path
