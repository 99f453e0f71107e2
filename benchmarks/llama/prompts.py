"""The conversations of the benchmark: everyday words in an order that never comes twice."""

from __future__ import annotations

import random

Message = dict[str, str]

SYSTEM = (
    "You are a patient assistant who answers questions about gardens, kitchens, journeys and machines. Answer in plain "
    "words, name the reason for every piece of advice, and say so when you do not know something."
)
_VOCABULARY = (
    "about after again always answer apple autumn basket because before bicycle bottle bread bridge bright "
    "carry change city clear cloud coffee cold corner country dance day deep different door early earth "
    "evening every family field fire flower forest friend garden glass good green harbour heavy help high "
    "hold home house island journey kitchen know lamp large learn leave letter light little long market "
    "meadow measure metal milk minute moment morning mountain music narrow never night noise north number "
    "ocean often old open orange other paint paper park people place plant question quiet rain reach read red "
    "river road room round salt school sea season seven shadow short silver simple slow small smooth snow "
    "soft sound south spring stone story street strong sugar summer table tall teach ticket together tower "
    "town train travel tree under until valley village visit voice wait walk wall warm water weather week "
    "white wide wind window winter with wonder wood word work yellow young"
)
_WORDS = _VOCABULARY.split()


def question(seed: str, words: int) -> str:
    """Return so many words, always the same for a seed; a word is hardly more than one token."""
    choose = random.Random(seed)
    return " ".join(choose.choice(_WORDS) for _ in range(words))


def chat(seed: str, words: int = 90) -> list[Message]:
    """Return a conversation that begins with the common system prompt and goes on with a question of its own."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question(seed, words)}]
