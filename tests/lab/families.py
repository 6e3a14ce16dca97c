"""Small random models that behave like those that somebody may set as MODEL: their architectures, tokenizers and templates.

The chat templates are ours, written to do what the real ones do.
"""

import string
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

TEXTS = ["Anna has 58 shells. She buys 67 and loses 39 of them.", "6 * 7 = 42, so the answer is 42.", "What is 3 + 4? It is 7."]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}
SHAPE |= {"head_dim": 16, "max_position_embeddings": 2048, "tie_word_embeddings": True, "initializer_range": 0.2}

LLAMA = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system, messages = messages[0]['content'], messages[1:] %}
{%- else %}
    {%- set system = '' %}
{%- endif %}
{{- '<|start_header_id|>system<|end_header_id|>\\n\\nToday: ' + strftime_now('%d %b %Y') + '\\n\\n' + system + '<|eot_id|>' }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""
GEMMA = """{{ bos_token }}{% for message in messages %}
{% if message['role'] == 'system' %}{{ raise_exception('no system role here') }}{% endif %}
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles take turns') }}{% endif %}
{{ '<start_of_turn>' + message['role'].replace('assistant', 'model') + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
{%- endfor %}
{{ '<start_of_turn>model\\n' if add_generation_prompt else '' }}
"""
MISTRAL = """{{ bos_token }}{% for message in messages if message['role'] != 'system' %}
{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}
{%- else %}{{ ' ' + message['content'] | trim + eos_token }}{% endif %}
{% endfor %}"""
ZEPHYR = """{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"""
CHATML = """{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n<think>\\n' }}{% endif %}"""


@dataclass(frozen=True)
class Family:
    """special: its special tokens. bos: put before every text by the tokenizer itself, if `adds_bos`. like_words: SentencePiece's
    marks of spaces, not bytes. end, padding: what the prepared tokenizer must have.
    """

    kind: str
    special: tuple[str, ...]
    end: str
    padding: str
    eos: str
    bos: str | None = None
    pad: str | None = None
    unk: str | None = None
    adds_bos: bool = False
    like_words: bool = False
    template: str | None = None
    config: dict = field(default_factory=dict)

    def tokenizer(self) -> PreTrainedTokenizerFast:
        core = Tokenizer(models.BPE(unk_token=self.unk))
        if self.like_words:
            core.normalizer = normalizers.Replace(" ", "▁")
            core.decoder = decoders.Replace("▁", " ")
            alphabet = [*string.printable, "▁"]
        else:
            core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            core.decoder = decoders.ByteLevel()
            alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=list(self.special), initial_alphabet=alphabet, show_progress=False
        )
        core.train_from_iterator(TEXTS, trainer)
        if self.adds_bos:
            begin = [(self.bos, core.token_to_id(self.bos))]
            core.post_processor = processors.TemplateProcessing(single=f"{self.bos} $A", special_tokens=begin)
        named = {"bos_token": self.bos, "eos_token": self.eos, "pad_token": self.pad, "unk_token": self.unk}
        return PreTrainedTokenizerFast(tokenizer_object=core, chat_template=self.template, **named)

    def save(self, folder: Path) -> None:
        """The family's model and tokenizer as `from_pretrained` reads them."""
        tokenizer = self.tokenizer()
        torch.manual_seed(0)
        ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
        config = AutoConfig.for_model(self.kind, **SHAPE | ids | self.config, vocab_size=len(tokenizer))
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


QWEN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|finetune_right_pad_id|>")
LLAMA3 += ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
GEMMAS = ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")
LINEAR = {"layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 8, "linear_value_head_dim": 8}
LINEAR |= {"linear_num_key_heads": 2, "linear_num_value_heads": 4}
LLAMA3_BASE = {"kind": "llama", "special": LLAMA3, "bos": LLAMA3[0], "adds_bos": True, "padding": LLAMA3[2]}
HERMES = LLAMA3_BASE | {"special": (*LLAMA3, *QWEN[1:]), "padding": LLAMA3[1]}
GEMMA_BASE = {"special": GEMMAS, "bos": "<bos>", "eos": "<eos>", "pad": "<pad>", "unk": "<unk>", "adds_bos": True}
GEMMA_BASE |= {"like_words": True, "padding": "<pad>", "config": {"sliding_window": 8}}
SPIECE = {"special": ("<unk>", "<s>", "</s>"), "bos": "<s>", "eos": "</s>", "unk": "<unk>", "adds_bos": True, "like_words": True}
SPIECE |= {"kind": "mistral", "end": "</s>", "padding": "<unk>"}

FAMILIES = {
    "qwen3-base": Family("qwen3", QWEN, QWEN[2], QWEN[0], eos=QWEN[0], pad=QWEN[0]),
    "qwen2.5-chat": Family("qwen2", QWEN, QWEN[2], QWEN[0], eos=QWEN[2], pad=QWEN[0], template=CHATML),
    "qwen3.5": Family("qwen3_5_text", QWEN, QWEN[2], QWEN[0], eos=QWEN[2], pad=QWEN[0], template=CHATML, config=LINEAR),
    "smollm": Family("llama", ("</s>", *QWEN[1:]), QWEN[2], "</s>", eos="</s>", template=CHATML),
    "hermes": Family(**HERMES, end=QWEN[2], eos=LLAMA3[1], template=CHATML),
    "llama3-chat": Family(**LLAMA3_BASE, end=LLAMA3[5], eos=LLAMA3[5], template=LLAMA),
    "llama3-base": Family(**LLAMA3_BASE, end=LLAMA3[1], eos=LLAMA3[1]),
    "gemma2-chat": Family("gemma2", **GEMMA_BASE, end="<end_of_turn>", template=GEMMA),
    "gemma3-chat": Family("gemma3_text", **GEMMA_BASE, end="<end_of_turn>", template=GEMMA),
    "mistral-chat": Family(**SPIECE, template=MISTRAL),
    "zephyr": Family(**SPIECE, template=ZEPHYR),
}
