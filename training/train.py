"""Makes the built-in model: tokenizer, training on the CPU, GGUF.

    python training/train.py                      # all of it, into modules/LlamaChat/models/millrace-tiny.gguf
    python training/train.py --minutes 5 --out /tmp/try.gguf

The number of steps decides how long it runs; with the same seed, steps and library versions the data and the
weights come out the same. `--minutes` is only a safety net for slow machines: it shortens the schedule.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

import torch
from build_dataset import ASSISTANT, BEGIN, END, OFF_TOPIC, PAD, SPECIAL, SYSTEM, USER, Sampler, check, load
from export_gguf import export
from model import Config, Llama
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from torch.nn import functional

ROOT = Path(__file__).resolve().parent.parent
# light examples show only this many tokens of the answer: which answer it is, is decided there
SHORT = 3
IGNORE = -100  # cross_entropy skips these
# from this part of the schedule on, this share of the questions is off-topic
LATE, LATE_OFF_SHARE = 0.8, 0.45


def round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def train_tokenizer(sampler: Sampler, size: int) -> Tokenizer:
    """Byte-level BPE with GPT-2's pre-tokenizer (`tokenizer.ggml.pre = gpt-2`), learned from the data."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=4,
        show_progress=False,
    )
    facts = sampler.data.facts.values()
    answers = [t for f in facts for t in (f.answer, f.more) if t] * 12
    questions = [sampler.question(f) for f in sampler.fact_ids for _ in range(120)]
    off = [sampler.off_question() for _ in range(9000)]
    tokenizer.train_from_iterator([*answers, *questions, *off, *sampler.data.systems], trainer)
    return tokenizer


Example = tuple[list[int], list[int], list[tuple[int, int, int, int]]]


class Batches:
    """Random conversations as padded batches of nearly equal lengths."""

    def __init__(self, sampler: Sampler, tokenizer: Tokenizer, tokens_per_batch: int, seed: int) -> None:
        self.sampler, self.tokenizer, self.budget = sampler, tokenizer, tokens_per_batch
        self.rng = random.Random(seed)
        self.light = 0.8
        self.topics = {answer: i for i, answer in enumerate(sampler.answers())}
        self.ids = {name: i for i, name in enumerate(SPECIAL)}
        self.newline: list[int] = tokenizer.encode("\n").ids
        self.cache = {a: tokenizer.encode(a).ids for a in self.topics}
        self.ready: list[list[Example]] = []

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text).ids
        return ids

    def example(self) -> Example:
        """Tokens, their labels (-1: no loss), and (position, topic, start, end) for the auxiliary loss."""
        light = self.rng.random() < self.light
        system, turns = self.sampler.conversation(light)
        tokens: list[int] = [self.ids[BEGIN]] if self.rng.random() < 0.04 else []
        labels = [-1] * len(tokens)
        marks: list[tuple[int, int, int, int]] = []

        def prompt(role: str, text: str) -> tuple[int, int]:
            body = self.encode(text)
            if role == USER and self.rng.random() < 0.4:  # no single word may decide
                body = [self.ids[PAD] if self.rng.random() < 0.15 else t for t in body]
            before = len(tokens) + 1
            tokens.extend([self.ids[role], *self.newline, *body, self.ids[END], *self.newline])
            labels.extend([-1] * (len(body) + 4))
            return before, before + len(body)

        if system:
            prompt(SYSTEM, system)
        for i, (question, answer) in enumerate(turns):
            before, last = prompt(USER, question)
            tokens.extend([self.ids[ASSISTANT], *self.newline])
            labels.extend([-1, -1])
            marks.append((len(tokens) - 1, self.topics[answer], before, last))
            reply = [*self.cache[answer], self.ids[END]]
            if light:
                reply = reply[:SHORT]
            tokens.extend(reply)
            labels.extend(reply)
            if i < len(turns) - 1:
                tokens.extend(self.newline)
                labels.append(-1)
        return tokens, labels, marks

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens, labels, and the marks as rows of (position, topic, before, last) in the flattened batch."""
        if not self.ready:
            pool = sorted((self.example() for _ in range(4096)), key=lambda e: len(e[0]))
            batch: list[Example] = []
            for example in pool:
                if batch and len(example[0]) * (len(batch) + 1) > self.budget:
                    self.ready.append(batch)
                    batch = []
                batch.append(example)
            self.ready.append(batch)
            self.rng.shuffle(self.ready)
        batch = self.ready.pop()
        # few different shapes: the CPU kernels are made anew for each one
        longest = max(len(e[0]) for e in batch)
        width = round_up(longest, 8 if longest < 128 else 64)
        x = torch.full((round_up(len(batch), 8 if len(batch) > 12 else 1), width), self.ids[PAD])
        y = torch.full(x.shape, -1)
        marks = []
        for row, (tokens, labels, some) in enumerate(batch):
            x[row, : len(tokens)] = torch.tensor(tokens)
            y[row, : len(labels)] = torch.tensor(labels)
            at = row * width
            marks += [(at + position, topic, at + before, at + last) for position, topic, before, last in some]
        marks += [(0, IGNORE, 0, 1)] * (round_up(len(marks), 32) - len(marks))
        return x, y, torch.tensor(marks)


def wanted_tokens(y: Tensor) -> tuple[Tensor, Tensor]:
    """Positions that predict a labelled token, and those tokens; filled up to a round number."""
    following = torch.cat((y[:, 1:], torch.full((len(y), 1), -1)), dim=1).reshape(-1)
    where = torch.nonzero(following >= 0).squeeze(1)
    filler = round_up(len(where), 128) - len(where)
    where = torch.cat((where, torch.zeros(filler, dtype=where.dtype)))
    wanted = following[where]
    if filler:
        wanted[-filler:] = IGNORE
    return where, wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "modules/LlamaChat/models/millrace-tiny.gguf")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--minutes", type=float, default=240.0, help="stop the schedule early on a slow machine")
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--tokens", type=int, default=4096, help="tokens per batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--adamw", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--checkpoint", type=Path, help="also save the weights here (torch)")
    parser.add_argument("--resume", type=Path, help="go on from such a checkpoint, as the last fifth of a run does")
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    data = load()
    errors, _ = check(data)
    if errors:
        raise SystemExit("the data set has errors; run training/build_dataset.py")
    sampler = Sampler(data, args.seed)
    saved = torch.load(args.resume) if args.resume else None
    tokenizer = Tokenizer.from_str(saved["tokenizer"]) if saved else train_tokenizer(sampler, args.vocab)
    batches = Batches(sampler, tokenizer, args.tokens, args.seed)
    config = Config(
        vocab=tokenizer.get_vocab_size(),
        dim=args.dim,
        layers=args.layers,
        hidden=args.hidden,
        heads=args.dim // 64,
        dropout=args.dropout,
    )
    model = Llama(config, len(batches.topics))
    if saved:
        model.load_state_dict(saved["weights"], strict=False)
    count = sum(p.numel() for n, p in model.named_parameters() if not n.startswith("topic"))
    print(
        f"{len(data.facts) - 1} facts, {config.vocab} tokens in the vocabulary, {count / 1e6:.2f} M parameters",
        flush=True,
    )

    # Muon for the matrices of the blocks, AdamW for the rest: it needs far fewer steps than AdamW alone
    matrices = [p for n, p in model.named_parameters() if n.startswith("blocks") and p.dim() == 2]
    rest = [p for n, p in model.named_parameters() if not (n.startswith("blocks") and p.dim() == 2)]
    optimizers: list[torch.optim.Optimizer] = (
        [
            torch.optim.Muon(matrices, lr=args.lr, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=args.lr, betas=(0.9, 0.98), weight_decay=0.05),
        ]
        if not args.adamw
        else [torch.optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.1)]
    )
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    average = {n: p.detach().clone() for n, p in model.named_parameters()}
    names = {i: a for a, i in batches.topics.items()}
    owner = {f.answer: f.id for f in data.facts.values()}
    right = dict.fromkeys(data.facts, 0.5)  # running share of right topics per fact: hard facts are drawn more often
    first_tokens = torch.tensor([batches.cache[names[i]][0] for i in range(len(names))])
    first_answers = torch.tensor([names[i] in owner for i in range(len(names))])
    start = time.monotonic()
    steps, step = args.steps, 0
    shown = [0.0, 0.0, 0.0, 0.0]
    while step < steps:
        elapsed = time.monotonic() - start
        progress = max(step / steps, elapsed / (args.minutes * 60))
        if progress >= 1:
            break
        warm = min(1.0, (step + 1) / 50)
        for group in groups:
            group["lr"] = args.lr * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        # towards the end more off-topic questions: when in doubt, it shall say what it is
        sampler.off_share = LATE_OFF_SHARE if saved or progress > LATE else sampler.off_share
        batches.light = 0.85 - 0.55 * progress  # first which answer, later more and more whole conversations
        x, y, marks = batches.next()
        rows, topics, before, last = marks.unbind(1)
        where, wanted = wanted_tokens(y)
        # "tell me more" says nothing about the topic by itself
        own_words = first_answers[topics.clamp(min=0)] & (topics != IGNORE)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bf16"):
            hidden = model.hidden(x).reshape(-1, config.dim)
            logits = model.logits(hidden[where])
            guess = model.topic(hidden[rows])
            guess_bag = model.topic(model.bag(x, before, last))
        loss_text = functional.cross_entropy(logits.float(), wanted)
        loss_topic = functional.cross_entropy(guess.float(), topics, label_smoothing=0.05)
        smooth = topics.where(own_words, IGNORE)
        loss_bag = functional.cross_entropy(guess_bag.float(), smooth, label_smoothing=0.05)
        # what the bare words say, the network shall say too, and so shall its first token
        each = own_words.float() / own_words.sum()
        belief = guess_bag.detach().float().softmax(-1)
        loss_belief = -((belief * guess.float().log_softmax(-1)).sum(-1) * each).sum()
        first = model.logits(hidden[rows]).float().log_softmax(-1)[:, first_tokens]
        loss_first = -((belief * first).sum(-1) * each).sum()
        loss: Tensor = loss_text + 0.5 * loss_topic + loss_bag + 0.5 * loss_belief + 0.3 * loss_first
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        keep_share = min(0.999, step / (step + 20))
        with torch.no_grad():
            for n, p in model.named_parameters():
                average[n].lerp_(p, 1 - keep_share)
            real = topics != IGNORE
            topics = topics[real]
            hits = guess.argmax(-1)[real] == topics
        for topic, hit in zip(topics.tolist(), hits.tolist(), strict=True):
            fact_id = owner.get(names[topic])
            if fact_id:
                right[fact_id] += 0.02 * (hit - right[fact_id])
        if step % 100 == 0:
            for f in sampler.fact_ids:
                sampler.weights[f] = 0.5 + 2.5 * (1 - right[f])
        for i, value in enumerate((loss_text.item(), loss_topic.item(), hits.float().mean().item(), 1.0)):
            shown[i] += value
        if step % 400 == 0:  # usable from early on
            export(args.out, config, average, tokenizer)
        if step % 50 == 0 or step == steps:
            text, topic_loss, share = (value / shown[3] for value in shown[:3])
            print(
                f"step {step:5d} of {steps}  text {text:.3f}  topic {topic_loss:.3f}  right {share:.3f}"
                f"  {elapsed / 60:.1f} min",
                flush=True,
            )
            shown = [0.0, 0.0, 0.0, 0.0]
    hard = sorted((right[f], f) for f in data.facts)[:12]
    print("hardest in training:", ", ".join(f"{f} {r:.2f}" for r, f in hard))
    print(f"off-topic in training: {right[OFF_TOPIC]:.3f}")
    if args.checkpoint:
        torch.save({"config": config.as_dict(), "weights": average, "tokenizer": tokenizer.to_str()}, args.checkpoint)
    export(args.out, config, average, tokenizer)
    print(f"wrote {args.out}: {args.out.stat().st_size} bytes after {(time.monotonic() - start) / 60:.1f} min")


if __name__ == "__main__":
    main()
