"""Text leaves a reply only as whole characters, and never with a part of a stop string."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from llamachat.engine.text_tail import TextTail


def shown(tail: TextTail, pieces: list[bytes]) -> list[str]:
    texts = []
    for piece in pieces:
        texts.append(tail.push(piece))
        if tail.stopped:
            break
    return texts


def test_a_character_split_over_tokens_appears_whole() -> None:
    party = "🎉".encode()
    tail = TextTail()
    assert shown(tail, [party[:1], party[1:3], party[3:], b"!"]) == ["", "", "🎉", "!"]


def test_a_character_cut_at_the_end_is_left_out() -> None:
    tail = TextTail()
    assert tail.push(b"ok " + "🎉".encode()[:2]) == "ok "
    assert tail.flush() == ""


def test_bytes_that_are_no_text_do_not_stop_the_reply() -> None:
    assert TextTail().push(b"a\xffb") == "a\ufffdb"


def test_a_stop_string_split_over_tokens_never_shows() -> None:
    tail = TextTail(["STOP"])
    assert shown(tail, [b"go S", b"TO", b"P on"]) == ["go ", "", ""]
    assert tail.stopped
    assert tail.flush() == ""


def test_what_only_began_like_a_stop_string_is_shown() -> None:
    tail = TextTail(["STOP"])
    assert shown(tail, [b"STO", b"RE"]) == ["", "STORE"]


def test_the_end_of_a_reply_gives_back_what_was_held() -> None:
    tail = TextTail(["</s>"])
    assert tail.push(b"a </") == "a "
    assert tail.flush() == "</"


def test_the_earliest_of_several_stop_strings_counts() -> None:
    tail = TextTail(["second", "first"])
    assert tail.push(b"0 first 1 second") == "0 "


def test_an_empty_stop_string_stops_nothing() -> None:
    tail = TextTail([""])
    assert tail.push(b"abc") == "abc"
    assert not tail.stopped


def test_a_stop_string_of_split_characters() -> None:
    stop = "終わり".encode()
    tail = TextTail(["終わり"])
    assert "".join(shown(tail, [b"x", *(stop[at : at + 1] for at in range(len(stop))), b"y"])) == "x"
    assert tail.stopped


@given(
    text=st.text(alphabet="ab🎉é", max_size=40),
    stops=st.lists(st.text(alphabet="ab🎉", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(1, 4), max_size=80),
)
def test_however_it_is_cut_the_text_up_to_the_stop_is_shown(text: str, stops: list[str], cuts: list[int]) -> None:
    data, pieces = text.encode(), []
    for cut in [*cuts, len(data)]:
        pieces.append(data[:cut])
        data = data[cut:]
    tail = TextTail(stops)
    result = "".join(shown(tail, pieces)) + tail.flush()

    found = [stop for stop in stops if stop in text]
    if not found:
        assert result == text
        return
    # A longer stop string may begin earlier and yet end later than the one that ended the reply.
    ends = {stop: text.index(stop) + len(stop) for stop in found}
    first = min(found, key=lambda stop: ends[stop])
    assert text.startswith(result)
    assert len(result) <= text.index(first)
    assert not any(stop in result for stop in stops)
