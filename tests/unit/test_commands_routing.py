"""Whose a path is when several modules name it, and which paths a route takes."""

from __future__ import annotations

import pytest

from server.commands.routing import Route, RouteTable


def route(module_id: str, path: str, *, queue: str = "", command: str = "go", segments: bool = False) -> Route:
    return Route(
        path=path,
        module_id=module_id,
        module_name=module_id.title(),
        queue=queue or f"{module_id}_queue",
        command=command,
        segments=segments,
    )


def owner(table: RouteTable, path: str) -> str:
    found = table.match(path)
    return found.route.module_id if found else ""


def test_the_first_keeps_a_path_and_the_other_its_own_ones() -> None:
    table = RouteTable()
    table.set_module("Chat", [route("Chat", "text/chat")])
    table.set_module("Aaa", [route("Aaa", "/Text/Chat/"), route("Aaa", "text/aaa")])
    assert (owner(table, "text/chat"), owner(table, "TEXT/aaa")) == ("Chat", "Aaa")
    assert table.lost("Aaa") == {"/Text/Chat/": "Chat"}
    assert table.lost("Chat") == {}


def test_it_is_so_after_a_restart_in_whatever_order_they_come() -> None:
    before = RouteTable()
    before.set_module("Chat", [route("Chat", "text/chat")])
    before.set_module("Aaa", [route("Aaa", "text/chat")])
    after = RouteTable(before.claims)
    after.set_module("Aaa", [route("Aaa", "text/chat")])
    assert owner(after, "text/chat") == "Aaa"  # the other is not there yet, or no longer
    after.set_module("Chat", [route("Chat", "text/chat")])
    assert owner(after, "text/chat") == "Chat"
    assert after.lost("Aaa") == {"text/chat": "Chat"}


def test_a_removed_module_leaves_its_paths_for_good() -> None:
    table = RouteTable()
    for module_id in ("Chat", "Aaa"):
        table.set_module(module_id, [route(module_id, "text/chat")])
    table.remove_module("Chat")
    assert (owner(table, "text/chat"), table.lost("Aaa")) == ("Aaa", {})
    table.set_module("Chat", [route("Chat", "text/chat")])
    assert owner(table, "text/chat") == "Aaa"


def test_a_module_that_is_not_to_run_leaves_its_paths_for_as_long_as_that_is_so() -> None:
    table = RouteTable()
    table.set_module("Chat", [route("Chat", "text/chat")], idle=True)
    assert owner(table, "text/chat") == "Chat"
    table.set_module("Aaa", [route("Aaa", "text/chat")])
    assert owner(table, "text/chat") == "Aaa"
    table.set_module("Chat", [route("Chat", "text/chat")])
    assert owner(table, "text/chat") == "Chat"


def test_routes_that_cannot_be_read_for_a_while_are_not_given_away() -> None:
    table = RouteTable()
    for module_id in ("Chat", "Aaa"):
        table.set_module(module_id, [route(module_id, "text/chat")])
    table.withdraw_module("Chat")
    assert owner(table, "text/chat") == "Aaa"
    table.set_module("Chat", [route("Chat", "other")], complete=False)
    table.set_module("Chat", [route("Chat", "text/chat")])
    assert owner(table, "text/chat") == "Chat"
    assert table.match("other") is None
    table.set_module("Chat", [])
    table.set_module("Chat", [route("Chat", "text/chat")])
    assert owner(table, "text/chat") == "Aaa"  # it had given the path up itself


def test_modules_that_share_a_queue_share_a_route_without_loss() -> None:
    table = RouteTable()
    for module_id in ("YoloA", "YoloB"):
        table.set_module(module_id, [route(module_id, "vision/detection", queue="objectdetection_queue")])
    assert (table.lost("YoloA"), table.lost("YoloB")) == ({}, {})


def test_claims_of_modules_that_are_gone_are_forgotten() -> None:
    table = RouteTable({"text/chat": ["Gone", "Chat"], "gone": ["Gone"]})
    table.keep_claims_of({"Chat"})
    assert table.claims == {"text/chat": ["Chat"]}


def test_a_path_of_the_server_is_nobodys() -> None:
    table = RouteTable()
    table.reserved = lambda path: path == "log"
    table.set_module("Chat", [route("Chat", "log")])
    assert table.lost("Chat") == {"log": ""}


def test_every_change_is_told() -> None:
    table, lost = RouteTable(), []
    table.on_change = lambda: lost.append(table.lost("Aaa"))
    table.set_module("Aaa", [route("Aaa", "x")])
    table.set_module("Bbb", [route("Bbb", "x")])
    table.remove_module("Aaa")
    assert lost[0] == {}
    assert owner(table, "x") == "Bbb"


@pytest.mark.parametrize(
    ("path", "expected", "segments"),
    [
        ("vision/custom", "custom", []),
        ("/Vision/Custom/My-Model/", "custom", ["My-Model"]),
        ("vision/custom/a/b", "custom", ["a", "b"]),
        ("vision/custom/list", "list", []),
        ("vision/custom/list/x", None, []),
        ("vision/customs", None, []),
        ("text/shout", "shout", []),
        ("text/shout/typo", None, []),
        ("text", None, []),
        ("", None, []),
    ],
)
def test_a_path_goes_on_only_where_the_route_says_so(path: str, expected: str | None, segments: list[str]) -> None:
    table = RouteTable()
    routes = [
        route("M", "vision/custom", command="custom", segments=True),
        route("M", "vision/custom/list", command="list"),
        route("M", "text/shout", command="shout"),
    ]
    table.set_module("M", routes)
    found = table.match(path)
    assert (found.route.command if found else None, found.segments if found else []) == (expected, segments)


def test_the_nearest_route_is_the_one_that_may_have_been_meant() -> None:
    table = RouteTable()
    table.set_module("M", [route("M", "text/shout"), route("M", "text/chat")])
    for path, expected in (("text/shout/x", "text/shout"), ("text/shuot", "text/shout"), ("q", None)):
        near = table.nearest(path)
        assert (near.path if near else None) == expected
