"""How a model is spoken to: a tokenizer with the recipe's chat template, an end of turn, padding, and one token that begins.

Every prompt is rendered to text and read without added tokens, so what begins a text, where a model has such a token (BOS),
stands in the template.
"""

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from grpo_lab.recipes import Recipe
from grpo_math.formats import (
    OWN_TEMPLATE,
    ReasoningFormat,
    chat_template,
    get_format,
    plain_prompt,
    plain_template,
    question_prompt,
    user_turn,
    wrapped_template,
)

PADDING = ("<|endoftext|>", "<|finetune_right_pad_id|>", "<pad>")  # after another end of text, before the unknown token and BOS


def prepare_tokenizer(tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> PreTrainedTokenizerBase:
    """The tokenizer with the recipe's chat template, left padding, and turns that end.

    A recipe in ChatML keeps to it where the vocabulary has its marks. Another chat model keeps its own template, between a system
    prompt and the tag that opens the working; a base without one is asked plainly, which is said. ValueError for a template by
    which nothing can be trained, or where nothing but the end of a turn could pad.
    """
    tokenizer.padding_side = "left"
    fmt, vocabulary, begin = get_format(recipe.format), tokenizer.get_vocab(), text_begin(tokenizer)
    own, end_of_text = tokenizer.chat_template and tokenizer.get_chat_template(), tokenizer.eos_token
    # The end of a turn is the end of a text, and padding another token: else a model that pads never learns to stop.
    if "<|im_end|>" in vocabulary:
        tokenizer.eos_token = "<|im_end|>"
    plain = plain_template(fmt, tokenizer.eos_token, begin)
    if recipe.template == "plain":
        tokenizer.chat_template = plain
    elif "<|im_start|>" in vocabulary and "<|im_end|>" in vocabulary:
        tokenizer.chat_template = chat_template(fmt, recipe.system_prompt, begin)
    elif own and own != plain:
        _wrap_template(tokenizer, own, fmt, recipe.system_prompt)
    else:
        print(f"{recipe.base_model} has no chat template: it is asked and trained by {plain_prompt('...')!r}.")
        tokenizer.chat_template = plain
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        others = [token for token in (end_of_text, *PADDING) if token in vocabulary] + [tokenizer.unk_token, tokenizer.bos_token]
        padding = next((token for token in others if token and token != tokenizer.eos_token), None)
        if padding is None:
            raise ValueError(
                f"The tokenizer of {recipe.base_model} has no token to pad with but {tokenizer.eos_token}, which ends a turn: "
                "set MODEL to a base whose tokenizer has a padding token, or give its copy in a folder one (`pad_token`)."
            )
        tokenizer.pad_token = padding
    return tokenizer


def text_begin(tokenizer: PreTrainedTokenizerBase) -> str:
    """The token that the tokenizer by itself puts before every text (BOS), or nothing."""
    return tokenizer.bos_token if tokenizer.bos_token_id in tokenizer("").input_ids else ""


def ask_alone(tokenizer: PreTrainedTokenizerBase, question: str) -> str:
    """The question alone, as the prepared tokenizer's model is asked: in ChatML, by the model's own template, or plainly."""
    if "<|im_start|>" in tokenizer.get_vocab():
        return text_begin(tokenizer) + question_prompt(question)
    if OWN_TEMPLATE in tokenizer.chat_template:
        return tokenizer.apply_chat_template(user_turn(question), tokenize=False, add_generation_prompt=True, bare=True)
    return text_begin(tokenizer) + plain_prompt(question)


def _wrap_template(tokenizer: PreTrainedTokenizerBase, own: str, fmt: ReasoningFormat, system_prompt: str | None) -> None:
    """Give the tokenizer `formats.wrapped_template` of its own one, and the end of turn that stands in it.

    What the template does is found out by an example. ValueError where it changes an answer, gives it no end, or begins it
    otherwise than it asks for it: what was trained would then be another text than what is asked.
    """
    own = own.split(OWN_TEMPLATE)[1] if OWN_TEMPLATE in own else own  # of a model that was trained here and exported
    tokenizer.chat_template = own
    question, target = user_turn("What is 6 * 7?"), fmt.render_target("6 * 7 = 42.", "42")
    example = [*question, {"role": "assistant", "content": target}]
    remedy = "set MODEL to a base with another template"

    def render(messages: list[dict[str, str]], **settings) -> str:
        return tokenizer.apply_chat_template(messages, tokenize=False, **settings)

    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False).input_ids

    # 1. The answer's place, and its end.
    try:
        asked, whole = render(question, add_generation_prompt=True), render(example)
    except TemplateError as error:
        raise ValueError(f"The chat template of {tokenizer.name_or_path} takes no plain texts ({error}): {remedy}.") from None
    before, _, after = whole.partition(target)
    special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    end = next((token for token in tokenizer.convert_ids_to_tokens(tokens(after)) if token in special), None)
    if not end or not before.startswith(asked):
        fault = "begins an answer otherwise than it asks for it" if end else "changes an answer, or marks no end behind it"
        raise ValueError(f"The chat template of {tokenizer.name_or_path} {fault}: {remedy}.")

    # 2. Its system turn: some raise an error, some leave it out.
    try:
        shown = render([{"role": "system", "content": "Be brief."}, *question], add_generation_prompt=True)
        system_turn = shown.count("Be brief.") == 1
    except TemplateError:
        system_turn = False

    # 3. Wrapped, and looked at again in tokens.
    begin = text_begin(tokenizer)
    tokenizer.chat_template = wrapped_template(
        own,
        fmt,
        system_prompt,
        system_turn=system_turn,
        begin="" if whole.startswith(begin) else begin,
        gap=before.removeprefix(asked),
    )
    tokenizer.eos_token = end
    prompt, ids = tokens(render(question, add_generation_prompt=True)), tokens(render(example))
    if ids[: len(prompt)] != prompt or tokenizer.eos_token_id not in ids[len(prompt) :]:
        raise ValueError(
            f"By the chat template of {tokenizer.name_or_path} the tokens of a prompt are not those that its answer follows in "
            f"training: {remedy}."
        )
