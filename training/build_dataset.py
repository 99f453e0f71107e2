"""Reads the hand-written data in training/data and makes training examples from it.

Every sentence in the data files is written for this project. The files hold *patterns*: `(a|b|)` is a
choice, `{name}` is a list from off_topic.txt. A pattern is expanded at random each time an example is made, and
then roughened the way people type: prefixes, synonyms, dropped and swapped words, typos, case, punctuation.

Held-out phrasings (heldout.txt, off_topic_heldout.txt) are never trained on: `check()` refuses a data set in
which a pattern can produce one of them, and the sampler throws away an augmented phrasing that equals one.

    python training/build_dataset.py          # checks the data and prints its size
"""

from __future__ import annotations

import itertools
import random
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DATA = Path(__file__).resolve().parent / "data"

# Special tokens; their order is their id. Ids below len(SPECIAL) are control tokens in the GGUF.
PAD, BEGIN, END, SYSTEM, USER, ASSISTANT = (
    "<|pad|>",
    "<|begin|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
)
SPECIAL = [PAD, BEGIN, END, SYSTEM, USER, ASSISTANT]

OFF_TOPIC = "off_topic"
CLARIFY = "clarify"

# How the `d:` (a thing), `h:` (a deed) and `w:` (something to be found) lines of a fact become questions.
DEFINE = [
    "(what is|what's|what are|whats) @",
    "(what is|what's) (a|an|the) @",
    "what does @ mean",
    "(define|explain|describe) @",
    "(explain|describe) (to me |)what @ (is|are|means)",
    "(can|could|would) you (explain|describe|define) @",
    "@",
    "meaning of @",
    "definition of @",
    "@ (meaning|explained|definition)",
    "what (exactly |)is meant by @",
    "i (do not|don't) (understand|know) what @ (is|means)",
    "(tell me|teach me) (about|what is) @",
    "what do you mean by @",
    "(give me|i need) (a short|a quick|an) explanation of @",
    "what (exactly|actually) is @",
    "what is @ (for|good for|used for)",
    "what is the (purpose|point|job|role|use) of @",
    "what does @ do",
    "why (is there|do we have|would i need) @",
    "i (keep reading|read|heard) about @, what is (it|that)",
    "help me understand @",
    "how does @ work",
    "(so |)@, what is (that|it)",
    "(i need|i want) (to understand|to know about|information about|to learn about) @",
    "what (do i need|can i do with|should i know about|is special about|happens with) @",
    "(when|where|how) (is|are) @ used",
    "(i see|there is|it says) @, what (does it mean|is that|does that mean)",
    "the (idea|concept|meaning|term) (of|behind) @",
    "(explain|define|i need) the (term|word|concept|notion|idea) @",
    "what (does|would) @ (stand for|refer to|imply|say)",
    "in (simple|your own|plain|other|few) words, what is @",
    "what (follows from|is the effect of|is the sense of|comes from) @",
    "is @ (important|needed|useful|something i need)",
    "(which|what) (part|piece) (of millrace |)is @",
    (
        "the (documents|docs|documentation|readme|people) (speak|talk|write) (of|about) @, (what is "
        "that|which is what|what are they)"
    ),
    "(where|when) do i (meet|need|see|come across) @",
    "what (kind|sort|type) of (thing|object) is @",
    "what is @ (in a few words|here)",
    "(a friend|somebody) (mentioned|told me about) @, what is (it|that)",
    "what's the (use of|reason for|thing with|deal with) @",
    "what is the (task|function|duty|benefit|aim) of @",
    "(why|when) (does one need|would one use|would somebody want|should i care about|did they add) @",
    "what (would|could|can|should|do) i use @ for",
    "what (is|are) @ (all about|there for|doing|supposed to do)",
    "is there (something|anything) (called|like) @",
    "who or what is @",
]
# `v:` something with a value: a parameter, a setting, a state.
VALUE = [
    (
        "what (is|would be|are) (a|an) (good|sensible|typical|reasonable|usual|normal|ideal) "
        "(value|number|setting|) (for|of) @"
    ),
    "what (happens|changes|is different) (if|when) i (set|raise|lower|increase|decrease|change|use|leave out|forget) @",
    (
        "(what is|what are|what's) the (effect|effects|result|influence|consequence) of (a high|a low|a "
        "different|a large|a small|) @"
    ),
    "(which|what) (number|value|setting) (should|can|do|must|may) i (give|take|write|choose|set|put|use) (as|for|in) @",
    "what (do i|can i|should i|must i) (write|put|fill in|enter) (into|in|under|for) @",
    "is @ (needed|required|optional|a good idea|useful)",
    (
        "i (set|changed|have set|put) @ (to 4|to false|to true|to 0|to 2|), what "
        "(changes|happens|now|follows|is the effect|does it do)"
    ),
    "(what is|is there) (the|a) default (value |)(of|for) @",
    "@ (default|value|values|setting|set to 1|set to 0)",
    "what if @ is (set|missing|wrong|high|low|false|true|not set|zero|very large)",
    "(is|should|must) @ (be |)(set|given|changed|high|low)",
    "when (is|should|would|do) (@ useful|i use @|i choose @|i need @)",
    "(which|what) (effect|influence|meaning) (has|does) @ (have|)",
    "how does @ (change|influence|affect|work on) (the reply|things|the result|the sampling|the server|my module|)",
    "what does (a|the) (value|setting|number) (of 0 |of 1 |)(for|of|in) @ (mean|do)",
    "what are my (choices|options) (for|with|in) @",
]
HOWTO = [
    "is it (hard|difficult|easy|possible for me) to @",
    "(how|where) (would i|do i|does one) (go about|begin|start|manage) to @",
    "what (must be done|does it take|must happen) to @",
    "show me (how to|how i can|how one can) @",
    "(if|when) i want to @, (what do i do|how|what then)",
    "(am i|are we) allowed to @",
    "how (hard|difficult|easy) is it to @",
    "i (would|will) (rather|now|soon) @",
    "the way to @",
    "(does|can) it (let me|help me) @",
    "how (do i|can i|to|do you|does one|do we|should i|would i) @",
    "how (do|can) (you|we|people) @",
    "i (want|need|would like|am trying) to @",
    "(what is|what's) the (way|command|right way|easiest way) to @",
    "@",
    "(show me|tell me|explain) how to @",
    "(can|could) i @",
    "is (it possible|there a way|there any way) to @",
    "what (do|must|should) i (do|type|call|run|use) to @",
    "(please |)help me @",
    "steps to @",
    "instructions to @",
    "(what is|what's) needed to @",
    "how is it possible to @",
    "any (idea|hint) how to @",
    "i (do not|don't) know how to @",
    "(which|what) (call|command|thing) (lets me|do i use to|is used to|will) @",
    "best way to @",
    "@, how",
    "how (exactly |)would (someone|a user|a beginner) @",
    "i have to @, what now",
    "let me @",
]
WHERE = [
    "i need (the name of|the path of|to know where i find|to see) @",
    "(tell me|do you know) where (to find |i find |)@ (is|are|)",
    "on (my|the) disk, where (is|are) @",
    "(is there|do you have) @ (somewhere|anywhere|)",
    "where (can|could|would) one (look|find|read) @",
    "where (is|are) @",
    "where (do|can) i (find|see|get|look at|read|open) @",
    "(location|place|path) of @",
    "@ (location|path|folder|where)",
    "where does (millrace|the server|it) (keep|put|store|save|have) @",
    "(in which|in what|which|what) (folder|directory|place) (is|are|has|holds|contains) @",
    "i (am looking for|can't find|cannot find|need to find) @",
    "how (do|can) i (find|get to|see|look at|open|read) @",
    "(show|give) me @",
    "where (should|must|do) i look for @",
    "i want to (see|read|find|look at) @",
    "find @",
]
WORD = re.compile(r"[a-z0-9_']+")


def normalise(text: str) -> str:
    """The words of a phrasing: two phrasings that differ only in case and punctuation are the same phrasing."""
    return " ".join(WORD.findall(text.lower().replace("’", "'")))


@dataclass
class Fact:
    id: str
    answer: str
    more: str = ""
    stop: str = ""  # the fact that answers "and how do I stop it?" after this one
    patterns: list[str] = field(default_factory=list)


@dataclass
class Data:
    facts: dict[str, Fact]
    off_everyday: list[str]  # small talk that may come before a question
    off_patterns: list[list[str]]  # groups of off-topic patterns; groups are drawn evenly
    macros: dict[str, list[str]]
    prefixes: list[str]
    suffixes: list[str]
    synonyms: dict[str, list[str]]
    systems: list[str]
    follow_more: list[str]
    follow_stop: list[str]
    follow_thanks: list[str]
    heldout: dict[str, list[str]]
    fresh: dict[str, list[str]]  # as heldout, written after the patterns were last extended
    off_heldout: list[str]
    heldout_more: list[str]
    heldout_stop: list[str]
    heldout_systems: list[str]


def read_sections(path: Path) -> dict[str, list[str]]:
    """A text file of `[name]` headings, each followed by lines; blank lines and `#` comments are skipped."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("[") and line.endswith("]"):
            name = line[1:-1]
            if name in sections:
                raise ValueError(f"{path.name}:{number}: section {name} appears twice")
            current = sections[name] = []
        else:
            current.append(line)
    return sections


def read_facts(path: Path) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for name, lines in read_sections(path).items():
        fact = facts[name] = Fact(name, "")
        for line in lines:
            key, _, value = line.partition(" ")
            if key == "a:":
                fact.answer = value
            elif key == "m:":
                fact.more = value
            elif key == "stop:":
                fact.stop = value
            elif key in ("d:", "h:", "w:", "v:"):
                templates = {"d:": DEFINE, "h:": HOWTO, "w:": WHERE, "v:": VALUE}[key]
                # one pattern per kind of line: the choice of template is part of the pattern
                fact.patterns.append("(" + "|".join(t.replace("@", "(" + value + ")") for t in templates) + ")")
            elif key == "-":
                fact.patterns.append(value)
            else:
                raise ValueError(f"{path.name}: [{name}]: cannot read the line {line!r}")
        if not fact.answer or not fact.patterns:
            raise ValueError(f"{path.name}: [{name}] needs an answer and phrasings")
    return facts


def split_choices(text: str) -> list[str]:
    """Splits at the `|` that are not inside brackets."""
    parts, depth, start = [], 0, 0
    for i, ch in enumerate(text):
        depth += (ch == "(") - (ch == ")")
        if ch == "|" and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def group_end(text: str, start: int) -> int:
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    raise ValueError(f"unbalanced brackets: {text!r}")


def expand(pattern: str, macros: dict[str, list[str]], rng: random.Random) -> str:
    """One random phrasing of a pattern."""
    out, i = "", 0
    while i < len(pattern):
        ch = pattern[i]
        if ch == "(":
            end = group_end(pattern, i)
            out += expand(rng.choice(split_choices(pattern[i + 1 : end])), macros, rng)
            i = end + 1
        elif ch == "{":
            end = pattern.index("}", i)
            out += expand(rng.choice(macros[pattern[i + 1 : end]]), macros, rng)
            i = end + 1
        else:
            out += ch
            i += 1
    return re.sub(r"\s+", " ", out).strip() if out else out


def expand_all(pattern: str, macros: dict[str, list[str]]) -> Iterator[str]:
    """All phrasings of a pattern (used by the hold-out check)."""
    parts: list[list[str]] = []
    i, text = 0, ""
    while i < len(pattern):
        ch = pattern[i]
        if ch in "({":
            if text:
                parts.append([text])
                text = ""
            if ch == "(":
                end = group_end(pattern, i)
                choices = split_choices(pattern[i + 1 : end])
            else:
                end = pattern.index("}", i)
                choices = macros[pattern[i + 1 : end]]
            parts.append([e for c in choices for e in expand_all(c, macros)])
            i = end + 1
        else:
            text += ch
            i += 1
    parts.append([text])
    for combination in itertools.product(*parts):
        yield "".join(combination)


def invented_words(count: int) -> list[str]:
    """Words that nobody knows: a question about one is off-topic, however it is asked."""
    rng = random.Random(11)
    starts = ["", *"b br c ch cl d dr f fl g gl gr h j k kl l m n p pl r s sch sh sk st t tr v w x z".split()]  # noqa: SIM905
    middles = ["a", "e", "i", "o", "u", "ai", "ee", "oo", "ou", "ei", "au", "ia"]
    ends = ["", "", *"b ck d f g l ll m n nd nk p r rd rt s ss st t x z".split()]  # noqa: SIM905
    return [
        "".join(rng.choice(starts) + rng.choice(middles) + rng.choice(ends) for _ in range(rng.choice((1, 2, 2, 3))))
        for _ in range(count)
    ]


def load() -> Data:
    misc = read_sections(DATA / "phrases.txt")
    off = read_sections(DATA / "off_topic.txt")
    held_misc = read_sections(DATA / "heldout_conversations.txt")
    off_held = read_sections(DATA / "off_topic_heldout.txt")
    held_macros = {k[1:]: v for k, v in off_held.items() if k.startswith("=")}
    off_heldout = [*off_held["sentences"], *off_held["fresh"]]
    rng = random.Random(7)
    for pattern in off_held["templates"]:  # three fillings of each held-out template
        off_heldout += sorted({expand(pattern, held_macros, rng) for _ in range(3)})
    macros = {k[1:]: [w for line in v for w in line.split(", ")] for k, v in off.items() if k.startswith("=")}
    macros["nonsense"] = invented_words(3000)
    synonyms: dict[str, list[str]] = {}
    for line in misc["synonyms"]:
        words = line.split("|")
        for word in words:
            synonyms.setdefault(word, []).extend(w for w in words if w != word)
    facts = read_facts(DATA / "facts.txt")
    for name, lines in read_sections(DATA / "more_phrasings.txt").items():
        facts[name].patterns += lines
    return Data(
        facts=facts,
        off_everyday=off["chatter"] + off["everyday"],
        off_patterns=[v for k, v in off.items() if not k.startswith("=")],
        macros=macros,
        prefixes=misc["prefixes"],
        suffixes=misc["suffixes"],
        synonyms=synonyms,
        systems=misc["systems"],
        follow_more=misc["follow more"],
        follow_stop=misc["follow stop"],
        follow_thanks=misc["follow thanks"],
        heldout=read_sections(DATA / "heldout.txt"),
        fresh=read_sections(DATA / "heldout_fresh.txt"),
        off_heldout=off_heldout,
        heldout_more=held_misc["more"],
        heldout_stop=held_misc["stop"],
        heldout_systems=held_misc["systems"],
    )


def heldout_set(data: Data) -> set[str]:
    held = {normalise(q) for kind in (data.heldout, data.fresh) for questions in kind.values() for q in questions}
    return held | {normalise(q) for q in data.off_heldout + data.heldout_more + data.heldout_stop}


def check(data: Data) -> tuple[list[str], int]:
    """Errors of the data set, and the number of distinct phrasings its patterns can produce before augmentation."""
    errors: list[str] = []
    held = heldout_set(data)
    total = 0
    answers = [f.answer for f in data.facts.values()]
    if len(set(answers)) != len(answers):
        errors.append("two facts share one answer")
    for name, questions in data.heldout.items():
        if name not in data.facts:
            errors.append(f"heldout.txt: no fact is called {name}")
        if len({normalise(q) for q in questions + data.fresh.get(name, [])}) < 5:
            errors.append(f"heldout.txt: [{name}] has fewer than 5 phrasings")
    owner: dict[str, str] = {}
    for fact in data.facts.values():
        if fact.id not in data.heldout and fact.id != OFF_TOPIC:
            errors.append(f"heldout.txt: no phrasings for {fact.id}")
        if fact.stop and fact.stop not in data.facts:
            errors.append(f"[{fact.id}]: stop: names no fact: {fact.stop}")
        seen = {normalise(e) for p in fact.patterns for e in expand_all(p, data.macros)}
        total += len(seen)
        errors += [f"[{fact.id}]: a training pattern makes the held-out phrasing {h!r}" for h in sorted(seen & held)]
        for phrasing in seen:
            other = owner.setdefault(phrasing, fact.id)
            if other != fact.id:
                errors.append(f"[{fact.id}] and [{other}] both own {phrasing!r}")
    for pattern in data.follow_more + data.follow_stop + data.follow_thanks:
        seen = {normalise(e) for e in expand_all(pattern, data.macros)}
        errors += [f"follow-ups: a training pattern makes the held-out phrasing {h!r}" for h in sorted(seen & held)]
    for pattern in itertools.chain.from_iterable(data.off_patterns):
        if "{" not in pattern:
            both = {normalise(e) for e in expand_all(pattern, data.macros)} & held
            errors += [f"off-topic: a training pattern makes the held-out phrasing {h!r}" for h in sorted(both)]
    return errors, total


KEYS = "abcdefghijklmnopqrstuvwxyz"


def typo(word: str, rng: random.Random) -> str:
    i = rng.randrange(len(word) - 1)
    kind = rng.random()
    if kind < 0.35:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind < 0.65:
        return word[:i] + word[i + 1 :]
    if kind < 0.85:
        return word[:i] + word[i] + word[i:]
    return word[:i] + rng.choice(KEYS) + word[i + 1 :]


SMALL = frozenset(
    (  # noqa: SIM905
        "a an the i to do does is are of in on for my your you it that this can could would me please with and be "
        "have what how"
    ).split()
)


# Facts whose questions are off-topic as soon as they are asked about another program.
NEAR_MISS = [
    *("install", "run", "stop_server", "start_server", "port", "change_port", "port_taken", "data_dir"),
    *("flags", "settings_file", "logs", "list_modules", "module", "write_module", "remove_module", "drop_in"),
    *("module_crash", "server_crash", "command", "command_states", "queue", "queue_full", "route", "route_maps"),
    *("channel", "node", "owner", "poll", "cancel", "licence", "docs", "temperature", "seed", "stop", "run_tests"),
    *("uploads", "streaming", "history", "api_key", "host", "ping"),
]


# The words that make such a question one about Millrace; without them it is about something else.
KEYWORDS = re.compile(
    r"\b(module|command|server|millrace|model|queue|route|endpoint|reply|chat|log|adapter|prompt|node|cluster|broker"
    r"|channel|port|flag|environment variable|test|modulesettings\.json|routemaps|url|api key|docs|documentation"
    r"|licence|license|commandid|token|changelog|pull request|settings file|data directory|explorer|request)(s?)\b"
)


class Sampler:
    """Makes random training questions and conversations."""

    def __init__(self, data: Data, seed: int) -> None:
        self.data = data
        self.rng = random.Random(seed)
        self.held = heldout_set(data)
        self.fact_ids = [f for f in data.facts if f != OFF_TOPIC]
        self.weights = dict.fromkeys(self.fact_ids, 1.0)
        self.off_share = 0.3

    def roughen(self, text: str, *, chatter: bool = True) -> str:
        """What people do to a sentence when they type it."""
        rng, data = self.rng, self.data
        words = text.split()
        if rng.random() < 0.45:
            out: list[str] = []
            i = 0
            while i < len(words):
                pair = " ".join(words[i : i + 2])
                if pair in data.synonyms and rng.random() < 0.4:
                    out += rng.choice(data.synonyms[pair]).split()
                    i += 2
                    continue
                if words[i] in data.synonyms and rng.random() < 0.3:
                    out += rng.choice(data.synonyms[words[i]]).split()
                else:
                    out.append(words[i])
                i += 1
            words = out
        if len(words) > 3 and rng.random() < 0.25:
            # mostly small words are left out, now and then any word
            for _ in range(rng.choice((1, 1, 2, 3))):
                i = rng.randrange(len(words))
                if len(words) > 3 and (words[i].lower() in SMALL or rng.random() < 0.15):
                    del words[i]
        if len(words) > 4 and rng.random() < 0.06:
            content = [w for w in words if w.lower() not in SMALL]  # keywords only, as in a search box
            words = content if len(content) > 1 else words
        if len(words) > 3 and rng.random() < 0.06:
            i = rng.randrange(len(words) - 1)
            words[i], words[i + 1] = words[i + 1], words[i]
        if rng.random() < 0.15:
            rng.shuffle(words)  # so that the words say enough in any order, which carries over to new phrasings
        if rng.random() < 0.12:
            long = [i for i, w in enumerate(words) if len(w) > 3 and w.isalpha()]
            if long:
                i = rng.choice(long)
                words[i] = typo(words[i], rng)
        text = " ".join(words)
        if chatter and rng.random() < 0.28:
            text = expand(rng.choice(data.prefixes), data.macros, rng) + " " + text
        if chatter and rng.random() < 0.16:
            text = text + " " + expand(rng.choice(data.suffixes), data.macros, rng)
        case = rng.random()
        if case < 0.42:
            text = text.lower()
        elif case < 0.90:
            text = text[:1].upper() + text[1:]
            text = re.sub(r"\bi\b", "I", text) if rng.random() < 0.7 else text
            text = text.replace("millrace", "Millrace") if rng.random() < 0.7 else text
        elif case < 0.94:
            text = text.upper()
        elif case < 0.96:
            text = text.title()
        if not text.endswith(("?", "!", ".")):
            text += rng.choices(["?", "", ".", "!", "??", " ?", "...", "?!"], [46, 36, 8, 3, 2, 3, 1, 1])[0]
        return text

    def question(self, fact_id: str) -> str:
        fact = self.data.facts[fact_id]
        while True:
            text = expand(self.rng.choice(fact.patterns), self.data.macros, self.rng)
            if normalise(text) in self.held:
                continue
            text = self.everyday(text)
            rough = self.roughen(text)
            if normalise(rough) not in self.held:
                return rough

    def everyday(self, text: str) -> str:
        """Now and then puts ordinary words into a question about Millrace: they must not make it off-topic."""
        rng, macros = self.rng, self.data.macros
        if rng.random() < 0.28:
            words = text.split()
            for _ in range(rng.choice((1, 1, 2, 3))):
                extra = expand(rng.choice(("{noun}", "{verb}", "{adj}", "{word}", "{when}")), macros, rng)
                words.insert(rng.randrange(len(words) + 1), extra)
            text = " ".join(words)
        elif rng.random() < 0.06:
            text = expand(rng.choice(self.data.off_everyday), macros, rng) + ". " + text
        return text

    def near_miss(self) -> str:
        """A question about Millrace, asked about another program or about something else altogether."""
        rng = self.rng
        fact = self.data.facts[rng.choice(NEAR_MISS)]
        text = expand(rng.choice(fact.patterns), self.data.macros, rng)
        if rng.random() < 0.5:
            other = expand(rng.choice(("{word}", "{word}", "{noun}", "{nonsense}", "{thing}")), self.data.macros, rng)
            swapped, count = KEYWORDS.subn(lambda match: other + match.group(2), text)
            if count:
                return swapped
        other = expand(
            rng.choice(("{software}", "{software}", "{nonsense}", "{otherlang}", "{word}")), self.data.macros, rng
        )
        swapped, count = re.subn(r"\b(millrace|the server|llamachat|modulesettings\.json)\b", other, text)
        return swapped if count else f"{text} {rng.choice(('in', 'in', 'of', 'for', 'with', 'on'))} {other}"

    def off_question(self) -> str:
        while True:
            if self.rng.random() < 0.25:
                text = self.near_miss()
            else:
                text = expand(self.rng.choice(self.rng.choice(self.data.off_patterns)), self.data.macros, self.rng)
            text = self.roughen(text)
            if normalise(text) not in self.held and not re.search("millrace", text, re.IGNORECASE):
                return text
            if normalise(text) not in self.held and re.match("(can|does|will) millrace", text, re.IGNORECASE):
                return text

    def follow(self, patterns: list[str]) -> str:
        while True:
            text = self.roughen(expand(self.rng.choice(patterns), self.data.macros, self.rng), chatter=False)
            if normalise(text) not in self.held:
                return text

    def pick_fact(self) -> str:
        return self.rng.choices(self.fact_ids, [self.weights[f] for f in self.fact_ids])[0]

    def turn(self, off_share: float) -> tuple[str, str, str]:
        """(fact id, question, answer) of an independent turn."""
        if self.rng.random() < off_share:
            return OFF_TOPIC, self.off_question(), self.data.facts[OFF_TOPIC].answer
        fact_id = self.pick_fact()
        return fact_id, self.question(fact_id), self.data.facts[fact_id].answer

    def conversation(self, light: bool) -> tuple[str, list[tuple[str, str]]]:
        """A system prompt (may be empty) and a list of (question, answer) turns; a light one is a single turn."""
        rng, data = self.rng, self.data
        with_system = rng.random() < (0.12 if light else 0.45)
        system = expand(rng.choice(data.systems), data.macros, rng) if with_system else ""
        turns: list[tuple[str, str]] = []
        fact_id, question, answer = self.turn(self.off_share)
        turns.append((question, answer))
        # mostly up to four turns; now and then a long talk, so that the model learns to look at its end
        least = rng.randrange(5, 25) if not light and rng.random() < 0.06 else 0
        while not light and (
            len(turns) < least or (len(turns) < 4 and rng.random() < (0.6 if len(turns) == 1 else 0.3))
        ):
            fact = data.facts[fact_id]
            kind = rng.random()
            if kind < 0.45 and fact.more and turns[-1][1] == fact.answer:
                turns.append((self.follow(data.follow_more), fact.more))
            elif kind < 0.60 and fact.stop:
                fact_id = fact.stop
                turns.append((self.follow(data.follow_stop), data.facts[fact_id].answer))
            elif kind < 0.66:
                fact_id = "thanks"
                turns.append((self.follow(data.follow_thanks), data.facts[fact_id].answer))
            else:
                fact_id, question, answer = self.turn(self.off_share - 0.05)
                turns.append((question, answer))
        return system, turns

    def answers(self) -> list[str]:
        """Every distinct answer text: the classes of the auxiliary loss."""
        facts = self.data.facts.values()
        return sorted({f.answer for f in facts} | {f.more for f in facts if f.more})


def main() -> int:
    data = load()
    errors, total = check(data)
    for error in errors:
        print("error:", error)
    held = sum(len(v) for kind in (data.heldout, data.fresh) for v in kind.values())
    print(
        f"{len(data.facts) - 1} facts, {total} phrasings before augmentation, {held} held-out phrasings, "
        f"{sum(map(len, data.off_patterns))} off-topic patterns, {len(data.off_heldout)} held-out off-topic questions"
    )
    sampler = Sampler(data, 1)
    if "--show" in sys.argv:
        for _ in range(40):
            print(sampler.conversation(False))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
