from __future__ import annotations

from server.hosting.process.silence import SilenceWatch


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def looks(watch: SilenceWatch, clock: Clock, last_seen: float, seconds: int) -> bool:
    """Look once a second; the last look's verdict."""
    verdict = False
    for _ in range(seconds):
        clock.now += 1
        verdict = watch.silent(last_seen)
    return verdict


def test_thirty_seconds_without_a_word_are_silence() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    assert not watch.silent(7.0)
    assert not looks(watch, clock, 7.0, 30)
    assert looks(watch, clock, 7.0, 1)


def test_every_word_starts_the_wait_anew() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    assert not looks(watch, clock, 7.0, 29)
    assert not looks(watch, clock, 8.0, 30)
    assert looks(watch, clock, 8.0, 2)


def test_a_clock_set_back_is_a_word_like_any_other() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    assert not looks(watch, clock, 7000.0, 29)
    assert not looks(watch, clock, 10.0, 29)


def test_a_server_that_was_asleep_itself_blames_nobody() -> None:
    clock = Clock()
    watch = SilenceWatch(clock)
    watch.silent(7.0)
    clock.now += 3600
    assert not watch.silent(7.0)
    assert not looks(watch, clock, 7.0, 30)
    assert looks(watch, clock, 7.0, 1)
