"""The tiny base's tokenizer: byte-level BPE with single digits, so that any text can be typed and numbers are read by place.

Unlike the usual GPT pattern, a sign keeps the spaces around it (" + " and " = " are one token each), which makes a worked sum
about a third shorter. The format's tags and the chat marks are in the vocabulary from the start, as Qwen3's are; the tags are
ordinary added tokens, because TRL decodes completions with special tokens skipped and rewards have to see them.
"""

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from grpo_math.formats import FORMATS, plain_template

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TAGS = tuple(getattr(FORMATS["tags"], name) for name in ("reasoning_start", "reasoning_end", "answer_start", "answer_end"))
CHUNKS = Regex(r"\p{N}| ?\p{L}+| ?[^\s\p{L}\p{N}]+ ?|\s+")


def train_tokenizer(texts: Iterable[str], vocab_size: int = 1024) -> PreTrainedTokenizerFast:
    """Train the tokenizer on an iterable of documents. Padding is `<|endoftext|>`, the end of a turn is `<|im_end|>`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(CHUNKS, behavior="isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS),
        special_tokens=[END_OF_TEXT, TURN_START, TURN_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        padding_side="left",
        model_max_length=512,
        chat_template=plain_template(FORMATS["tags"]),
    )
