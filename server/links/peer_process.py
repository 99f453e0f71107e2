"""Whose process holds the other end of a connection from this machine. It blocks."""

from __future__ import annotations

import ipaddress
from typing import Any

import psutil


def holds(pid: int, address: Any) -> bool:
    """Whether a process, or one of those that it started, has a TCP socket of its own at this address (host, port)."""
    host, port = _plain(str(address[0])), int(address[1])
    return any(_has_socket(process, host, port) for process in _family(pid))


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _has_socket(process: psutil.Process, host: str, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except (psutil.Error, OSError):
        return False
    return any(
        connection.laddr and connection.laddr.port == port and _plain(connection.laddr.ip) == host
        for connection in connections
    )


def _plain(host: str) -> str:
    """One spelling for an address: an IPv4 one may come in the clothes of IPv6."""
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
