"""``python -m server keys``: makes, lists and removes API keys. A running server takes them up within a second."""

from __future__ import annotations

import argparse
import sys

from ..config import ServerSettings
from ..http.key_file import KeyFileError, add_key, read_keys, remove_keys
from ..text import well_formed
from .subcommand import Subparsers, add_subcommand


def add_to(subparsers: Subparsers) -> None:
    """Add the subcommand."""
    parser = add_subcommand(subparsers, "keys", "Make, list and remove API keys.", run)
    actions = parser.add_subparsers(dest="action", required=True, metavar="add|list|remove")
    add = add_subcommand(actions, "add", "Make a key for an owner and print it; only its hash is kept.", run)
    add.add_argument("owner", metavar="NAME", help="whose key it is; commands belong to owners")
    add.add_argument("--administrator", action="store_true", help="its owner may change what runs here")
    add_subcommand(actions, "list", "Show whose keys there are.", run)
    remove = add_subcommand(actions, "remove", "Remove all keys of an owner that were made with 'add'.", run)
    remove.add_argument("owner", metavar="NAME")


def run(settings: ServerSettings, options: argparse.Namespace) -> int:
    """Do it; return the exit status."""
    actions = {"add": _add, "list": _list, "remove": _remove}
    try:
        return actions[options.action](settings, options)
    except KeyFileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _add(settings: ServerSettings, options: argparse.Namespace) -> int:
    owner = well_formed(options.owner).strip()
    if not owner:
        print("error: The name of the owner is empty.", file=sys.stderr)
        return 2
    print(add_key(settings.keys_file, owner, options.administrator))
    print("It is shown this once. Clients send it as 'Authorization: Bearer KEY'.", file=sys.stderr)
    return 0


def _list(settings: ServerSettings, options: argparse.Namespace) -> int:
    for key in read_keys(settings.keys_file):
        print(f"{key.owner}  added {key.added}{'  administrator' if key.administrator else ''}")
    for owner in settings.api_keys.values():
        print(f"{owner}  in the settings{'  administrator' if owner in settings.administrators else ''}")
    return 0


def _remove(settings: ServerSettings, options: argparse.Namespace) -> int:
    removed = remove_keys(settings.keys_file, well_formed(options.owner).strip())
    if not removed:
        print(f"error: No key of {options.owner} is in {settings.keys_file}.", file=sys.stderr)
        return 1
    print(f"Removed {removed} key{'s' if removed > 1 else ''} of {options.owner}.")
    return 0
