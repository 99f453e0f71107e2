from __future__ import annotations

import pytest

from server.hosting.restart_policy import RestartPolicy


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def policy(clock: Clock, jitter: float = 0.0) -> RestartPolicy:
    return RestartPolicy(clock, lambda: jitter)


def test_waits_twice_as_long_each_time_and_gives_up_at_the_fifth() -> None:
    restarts = policy(Clock())
    assert [restarts.ended() for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, None]
    assert restarts.failures == 5


@pytest.mark.parametrize(("jitter", "expected"), [(-1.0, 0.8), (1.0, 1.2)])
def test_the_delay_varies_by_a_fifth(jitter: float, expected: float) -> None:
    assert policy(Clock(), jitter).ended() == pytest.approx(expected)


def test_ten_seconds_of_being_ready_start_the_count_anew() -> None:
    clock = Clock()
    restarts = policy(clock)
    assert restarts.ended() == 1.0
    assert restarts.ended() == 2.0
    restarts.ready()
    clock.now += 10
    assert restarts.ended() == 1.0


def test_being_ready_for_a_moment_does_not() -> None:
    clock = Clock()
    restarts = policy(clock)
    assert restarts.ended() == 1.0
    restarts.ready()
    clock.now += 9.9
    assert restarts.ended() == 2.0


def test_time_without_ever_being_ready_does_not_count_as_stable() -> None:
    clock = Clock()
    restarts = policy(clock)
    assert restarts.ended() == 1.0
    clock.now += 600
    assert restarts.ended() == 2.0


def ended_after_a_while(restarts: RestartPolicy, clock: Clock, seconds: float) -> float | None:
    restarts.ready()
    clock.now += seconds
    return restarts.ended()


def test_gives_up_at_the_tenth_in_half_an_hour_though_it_was_stable_between() -> None:
    clock = Clock()
    restarts = policy(clock)
    delays = [ended_after_a_while(restarts, clock, 60) for _ in range(10)]
    assert delays == [1.0] * 9 + [None]


def test_what_is_longer_ago_than_half_an_hour_is_forgiven() -> None:
    clock = Clock()
    restarts = policy(clock)
    assert all(ended_after_a_while(restarts, clock, 201) == 1.0 for _ in range(50))


def test_a_stop_by_the_server_is_not_counted() -> None:
    clock = Clock()
    restarts = policy(clock)
    restarts.ready()
    clock.now += 1
    restarts.stopped()
    clock.now += 60
    assert restarts.ended() == 1.0
    assert restarts.ended() == 2.0


def test_a_fresh_start_forgets_everything() -> None:
    restarts = policy(Clock())
    for _ in range(5):
        restarts.ended()
    restarts.reset()
    assert restarts.ended() == 1.0
