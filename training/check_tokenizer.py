"""Checks that llama.cpp splits text into the same tokens as the trainer's tokenizer does, on many strings.

python training/check_tokenizer.py [model.gguf]
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import gguf
from build_dataset import SPECIAL, Sampler, load
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

ROOT = Path(__file__).resolve().parent.parent
ODD = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n a",
    "a  b   c ",
    "\t tab\ttab",
    "I'm we'll they'd DON'T it's'",
    "x=1; y+=2 // $%&/()[]{}",
    "Grüße aus Köln, où est-il? Ñandú çedilla",
    "Привет, мир! 你好,世界。こんにちは 안녕하세요 שלום مرحبا नमस्ते",
    "emoji 😀👍🏽👩‍👩‍👧‍👦🇩🇪 ok😀ok",
    "1234567890 3.14 1,000 ½ ² Ⅷ ٣٤",
    "a\u00a0b\u2009c\u3000d\ufeffe\u200bf",
    "zero\x00byte\x7f",
    "file.json /v1/text/chat http://127.0.0.1:32168/explorer.html",
    "bash install.sh --model <repo>[:<file>]",
    "e\u0301 combining a\u0308\u0323",
    "…—–“”‘’«»",
    "𝕬𝖇𝖈 𐍈 \U0001f9d1\u200d\U0001f4bb",
    "CamelCaseWordsAndLONGUPPER_snake_case-123abc",
]


def tokenizer_of(path: Path) -> Tokenizer:
    fields = gguf.GGUFReader(str(path)).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    bpe = models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges)
    tokenizer = Tokenizer(bpe)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(SPECIAL)
    return tokenizer


def main() -> int:
    from llama_cpp import Llama

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "modules/LlamaChat/models/millrace-tiny.gguf"
    llama: Any = Llama(model_path=str(path), vocab_only=True, verbose=False)
    tokenizer = tokenizer_of(path)
    data = load()
    sampler = Sampler(data, 3)
    rng = random.Random(3)
    texts = [*ODD, *(f.answer for f in data.facts.values()), *(f.more for f in data.facts.values())]
    texts += [q for questions in data.heldout.values() for q in questions] + data.off_heldout
    texts += [sampler.off_question() for _ in range(2000)] + [
        sampler.question(sampler.pick_fact()) for _ in range(2000)
    ]
    texts += ["".join(rng.choice(rng.choice(texts) or " ") for _ in range(rng.randrange(1, 60))) for _ in range(2000)]
    alphabet = [
        chr(c)
        for low, high in ((32, 127), (160, 600), (880, 1300), (0x4E00, 0x4F00), (0x1F600, 0x1F640))
        for c in range(low, high)
    ]
    texts += ["".join(rng.choices(alphabet, k=rng.randrange(1, 40))) for _ in range(2000)]
    wrong = 0
    for text in texts:
        ours = tokenizer.encode(text).ids
        theirs = llama.tokenize(text.encode(), add_bos=True, special=False)
        back = llama.detokenize(theirs).decode()
        if ours != theirs or back != text:
            wrong += 1
            if wrong <= 10:
                print(f"differs: {text!r}\n  trainer   {ours}\n  llama.cpp {theirs}\n  back      {back!r}")
    print(f"{len(texts)} strings, {wrong} differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
