"""Free ports for servers that must find the same port free again after a restart."""

from __future__ import annotations

import random
import socket
from contextlib import closing
from pathlib import Path

_EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_000
_LOWEST_EPHEMERAL = 32_768
_TRIES = 1_000


def free_port() -> int:
    """A loopback port that nobody listens on.

    It lies below the range from which the system takes ports for outgoing connections: a broker
    that is down for some seconds would otherwise lose its port to any client of the same test.
    """
    highest = _lowest_ephemeral() - 1
    for _ in range(_TRIES):
        port = random.randint(_LOWEST, highest)  # noqa: S311  chance spreads parallel runs, it guards nothing
        if _is_free(port):
            return port
    raise OSError(f"no free port between {_LOWEST} and {highest} in {_TRIES} tries")


def accepts(port: int) -> bool:
    """Whether something on loopback accepts connections on this port."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _lowest_ephemeral() -> int:
    try:
        lowest = int(_EPHEMERAL_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return _LOWEST_EPHEMERAL
    return lowest if lowest > _LOWEST + _TRIES else _LOWEST_EPHEMERAL
