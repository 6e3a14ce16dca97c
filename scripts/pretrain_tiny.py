"""Pretrain the tiny base: a Qwen3 of about one million parameters on plain-text word problems. It plays Qwen3-4B-Base.

Run it with `make tiny-base`, or `python scripts/pretrain_tiny.py --out data/tiny-base`.
Departures from the textbook: matrices are trained by Muon (Jordan et al. 2024) and the rest by AdamW; every row of a batch is one
document, batched with others of its length, so that nothing is packed and a prompt always starts at position 0, as it will later.
"""

import argparse
import hashlib
import itertools
import json
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from grpo_lab.progress import bar
from grpo_lab.runs import describe_environment
from grpo_lab.tiny.corpus import LEVELS, MIXTURE, documents
from grpo_lab.tiny.tokenizer import END_OF_TEXT, TAGS, TURN_END, TURN_START, train_tokenizer

IGNORED = -100  # the label that the loss leaves out


@dataclass(frozen=True)
class Pretraining:
    """Everything that makes the base what it is. Lengths in tokens, rates per step."""

    seed: int = 0
    hidden_size: int = 128
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    mlp_size: int = 384
    vocab_size: int = 1024
    documents: int = 85_000
    batch_size: int = 64
    muon_lr: float = 1e-2
    adamw_lr: float = 3e-3
    warmup: float = 0.02
    weight_decay: float = 0.01
    arithmetic: float = 0.25


def make_model(plan: Pretraining, tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """A randomly initialised Qwen3 with tied embeddings, in float32."""
    torch.manual_seed(plan.seed)
    return Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=plan.hidden_size,
            num_hidden_layers=plan.layers,
            num_attention_heads=plan.heads,
            num_key_value_heads=plan.kv_heads,
            head_dim=plan.hidden_size // plan.heads,
            intermediate_size=plan.mlp_size,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            initializer_range=0.05,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_batches(plan: Pretraining, encoded: list[list[int]], pad: int) -> list[torch.Tensor]:
    """Batches of documents of similar length, (batch_size, longest) token ids each, in random order."""
    rng = random.Random(plan.seed)
    batches = []
    for start in range(0, len(encoded), 50 * plan.batch_size):
        block = sorted(encoded[start : start + 50 * plan.batch_size], key=len)
        for rows in (block[i : i + plan.batch_size] for i in range(0, len(block), plan.batch_size)):
            batches.append(torch.tensor([row + [pad] * (len(rows[-1]) - len(row)) for row in rows]))
    rng.shuffle(batches)
    return batches


def loss_of(model: Qwen3ForCausalLM, batch: torch.Tensor, pad: int) -> torch.Tensor:
    """Mean next-token cross-entropy in nats over a right-padded batch; the first pad is the end of the text and counts."""
    targets = batch[:, 1:].clone()
    targets[(batch[:, 1:] == pad) & (batch[:, :-1] == pad)] = IGNORED
    with torch.autocast("cpu", torch.bfloat16):  # a third faster where the CPU has bf16 instructions; the weights stay float32
        logits = model(input_ids=batch[:, :-1]).logits
    return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED)


def make_optimizers(model: Qwen3ForCausalLM, plan: Pretraining) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=plan.muon_lr, weight_decay=plan.weight_decay),
        torch.optim.AdamW(rest, lr=plan.adamw_lr, weight_decay=plan.weight_decay, betas=(0.9, 0.95)),
    ]


def train(model: Qwen3ForCausalLM, batches: list[torch.Tensor], plan: Pretraining, pad: int) -> float:
    """Train on every batch once, with warm-up and a linear decay; returns the mean loss of the last 50 steps."""
    optimizers = make_optimizers(model, plan)
    warmup = max(1, int(plan.warmup * len(batches)))
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, lambda s: min((s + 1) / warmup, 1 - s / len(batches))) for o in optimizers]
    losses, progress = [], bar(batches, desc="pretraining", unit="step")
    for batch in progress:
        loss = loss_of(model, batch, pad)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in (*optimizers, *schedules):
            stepper.step()
        model.zero_grad()
        losses.append(loss.item())
        progress.set_postfix(loss=f"{sum(losses[-50:]) / len(losses[-50:]):.3f}", refresh=False)
    return sum(losses[-50:]) / len(losses[-50:])


def prime_unused_embeddings(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, seen: set[int], seed: int) -> None:
    """Place the tokens that the corpus never shows (tags, chat marks) near the ones that play a like part in it.

    LoRA leaves the embeddings as they are, so what a token of noise does could not be learned in a short SFT. The end of the
    working starts near "Answer", which follows a finished solution, the opening of the answer near the colon after it. Noise as
    long as the embedding itself tells them apart for LoRA. With tied embeddings it would also make the base write a tag now and
    then, so each takes a fifth of what the tokens have become that were never `seen`: pretraining taught not to write those.
    """
    newline, answer, colon, end = (
        tokenizer(text, add_special_tokens=False).input_ids[-1] for text in ("\n", "Answer", ": ", END_OF_TEXT)
    )
    start_work, end_work, start_answer, end_answer = TAGS
    near = {TURN_START: newline, TURN_END: end, start_work: newline, end_work: answer, start_answer: colon, end_answer: end}
    generator = torch.Generator().manual_seed(seed)
    weight = model.get_input_embeddings().weight.data
    unseen = weight[[token for token in range(len(tokenizer)) if token not in seen]].mean(dim=0)
    for token, like in near.items():
        noise = torch.randn(weight.shape[1], generator=generator)
        noise *= weight[like].norm() / noise.norm()
        weight[tokenizer.convert_tokens_to_ids(token)] = 0.8 * weight[like] + noise + 0.2 * unseen


def pretrain(plan: Pretraining, out: Path) -> None:
    """Make the corpus, the tokenizer and the base, and save them with a record of how it was done."""
    torch.set_num_threads(min(2, torch.get_num_threads()))
    started = time.time()
    texts = list(itertools.islice(documents(plan.seed, plan.arithmetic), plan.documents))
    tokenizer = train_tokenizer(texts[:20_000], plan.vocab_size)
    encoded = [ids + [tokenizer.pad_token_id] for ids in tokenizer(texts).input_ids]
    model = make_model(plan, tokenizer)
    print(f"{model.num_parameters():,} parameters; {len(texts):,} documents, {sum(map(len, encoded)):,} tokens")
    batches = make_batches(plan, encoded, tokenizer.pad_token_id)
    loss = train(model, batches, plan, tokenizer.pad_token_id)
    prime_unused_embeddings(model, tokenizer, set(itertools.chain(*encoded)), plan.seed)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {
        "plan": asdict(plan),
        "mixture": MIXTURE,
        "levels": LEVELS,
        "parameters": model.num_parameters(),
        "documents": len(texts),
        "tokens": sum(map(len, encoded)),
        "final_loss": round(loss, 4),
        "seconds": round(time.time() - started),
        "environment": describe_environment(),
        "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
    }
    (out / "pretraining.json").write_text(json.dumps(record, indent=2) + "\n")
    (out / "README.md").write_text(render_card(record))
    print(f"saved to {out}: loss {loss:.3f} after {record['seconds']} s")


def render_card(record: dict) -> str:
    """The model card, from the record that `pretraining.json` keeps."""
    plan, libraries = record["plan"], record["environment"]
    return f"""# tiny-base

A Qwen3 of {record["parameters"]:,} parameters ({plan["layers"]} layers, width {plan["hidden_size"]}) that plays the base
model of the recipe `tiny`. It has read plain-text word problems of this repository's own world, solved in one go, step by step
or place by place, and bare sums; no chat, no answer tags. It knows nothing else: it is made to be trained on, not to be used.

| | |
| --- | --- |
| command | `make tiny-base` |
| seed | {plan["seed"]} |
| corpus | {record["documents"]:,} documents, {record["tokens"]:,} tokens, each read once |
| final loss | {record["final_loss"]} nats a token, mean of the last 50 steps |
| time | {record["seconds"]} s on {libraries["machine"]} |
| libraries | torch {libraries["torch"]}, transformers {libraries["transformers"]}, Python {libraries["python"]} |
| sha256 of `model.safetensors` | `{record["sha256"]}` |
| licence | MIT |

Every setting stands in [pretraining.json](pretraining.json). The embeddings of the format's tags and of the chat marks, which the
corpus never shows, were placed near tokens that play a like part (`prime_unused_embeddings`).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Pretrain the tiny base model.")
    parser.add_argument("--out", type=Path, default=Path("data/tiny-base"))
    parser.add_argument("--seed", type=int, default=Pretraining.seed)
    parser.add_argument("--documents", type=int, default=Pretraining.documents)
    arguments = parser.parse_args()
    plan = Pretraining(seed=arguments.seed, documents=arguments.documents)
    pretrain(plan, arguments.out)


if __name__ == "__main__":
    main()
