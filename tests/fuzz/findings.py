"""What was found: each kind once, with the inputs that lead to it, in a file that can be replayed."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from .wire import Answer

_MEANT = {501, 503, 505, 507}
"""Answers above 500 that say what is the matter."""
_TROUBLE = re.compile(
    r"Traceback \(most recent call last\)|was never (?:awaited|retrieved)|Unhandled exception|Fatal Python error"
    r"|exception was never|Internal Server Error|core dumped| E Server: \w+ \S+ failed: "
)
_PRINTED = re.compile(r"^[\d:]{8} \w [^:]*: ")
"""What the log puts before a line that a module has printed."""
_QUEUE_ANSWER = re.compile(rb"POST .*queue", re.IGNORECASE)


_PLACES = {
    "get",
    "post",
    "put",
    "delete",
    "queue",
    "updatemodulestatus",
    "commands",
    "events",
    "cancel",
    "settings",
    "log",
}
_PLACES |= {"server", "status", "modules", "module", "list", "channel", "assets", "talker", "echo", "count", "puppet"}
_PLACES |= {"poller", "quick", "long", "analysis", "metrics", "openapi", "login", "logout"}


@dataclass
class Finding:
    """``inputs``: what was sent before it was noticed, the last ones last; each is replayed the ``way`` it was sent."""

    kind: str
    way: str
    told: str
    first: int
    inputs: list[bytes] = field(default_factory=list)

    def save(self, folder: Path, commit: str, seed: int) -> Path:
        """Write it into a file of its own, and return its path."""
        name = re.sub(r"[^a-z0-9]+", "-", f"{self.way} {self.kind}".lower()).strip("-")[:60]
        path = folder / f"{name}-{self.first}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        inputs = [base64.b64encode(one).decode() for one in self.inputs]
        text = {"kind": self.kind, "way": self.way, "commit": commit, "seed": seed, "first": self.first}
        path.write_text(json.dumps({**text, "told": self.told, "inputs": inputs}, indent=1) + "\n")
        return path


def load(path: Path) -> Finding:
    """Read a finding that was saved."""
    saved = json.loads(path.read_text())
    inputs = [base64.b64decode(one) for one in saved["inputs"]]
    return Finding(saved["kind"], saved["way"], saved["told"], saved["first"], inputs)


class Findings:
    """All findings of a run; one kind is kept once for each way in."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self._known: set[tuple[str, str]] = set()

    def add(self, finding: Finding) -> bool:
        """Whether it is a new one."""
        if (finding.way, finding.kind) in self._known:
            return False
        self._known.add((finding.way, finding.kind))
        self.all.append(finding)
        return True


def fault_of(request: bytes, answer: Answer) -> str:
    """What is wrong with an answer; empty when nothing is."""
    line = request[:200].split(b"\r\n")[0]
    if answer.status >= 500 and answer.status not in _MEANT and not _demanded(line, answer):
        return f"status {answer.status} for {_place(line)}"
    if answer.whole and answer.is_json and answer.body:
        try:
            msgspec.json.decode(answer.body)
        except (msgspec.DecodeError, RecursionError) as error:
            return f"the answer is no JSON: {error}"
    return ""


def _demanded(line: bytes, answer: Answer) -> bool:
    """The one 500 that the queue protocol demands: an answer that is no JSON object."""
    return answer.status == 500 and not answer.body and _QUEUE_ANSWER.match(unquote_to_bytes(line)) is not None


def _place(line: bytes) -> str:
    """Method and the first words of the path, without what differs from input to input."""
    words = re.findall(r"[a-z]+", unquote_to_bytes(line.split(b"?")[0]).decode("latin-1").lower())
    return " ".join(word for word in words if word in _PLACES)


def troubles_in(lines: list[str]) -> dict[str, str]:
    """Each kind of trouble that a log shows, and the lines around its first sight."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines):
        if _TROUBLE.search(line):
            around = lines[max(0, number - 3) : number + 60]
            after = [_PRINTED.sub("", one) for one in lines[number : number + 60]]
            found.setdefault(_kind(line, after), "".join(around))
    return found


def _kind(line: str, after: list[str]) -> str:
    """The exception and where it comes from; not what it was raised with, which differs."""
    if "Traceback" not in line:
        return re.sub(r"^[\d:]+ |'.*|[0-9a-f-]{36}", "", line).strip()[:90]
    ends = [one for one in after if re.match(r"[\w.]+(?:Error|Exception|Warning|Exit|Line|Message)\b", one)]
    end = after.index(ends[0]) if ends else len(after)
    places = [re.sub(r'.*[/"](\S+)", line (\d+).*', r"\1:\2", one.strip()) for one in after[:end] if '  File "' in one]
    return f"{(ends[0] if ends else line).partition(':')[0].strip()} {places[-1] if places else ''}".strip()
