"""A network of a test's own, whose faults trouble nobody else: no ports left, no way out, a name server of
its own.

On Linux each thread may have its own network and its own view of the file system, and whatever it starts
inherits them. So what a test does in there it does on one such thread: it finds a loopback device and nothing
else, and the threads and processes that it starts are in there with it. It takes root's rights.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

NAME_SERVER = "127.0.0.53"
"""Where programs in there look for a name server, on port 53."""

OUTSIDE = "198.18.0.1"
"""The address of everything outside; see :func:`connect_outside`."""

_CLONE_NEWNS, _CLONE_NEWNET = 0x0002_0000, 0x4000_0000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x4_0000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _SIOCSIFADDR = 0x8913, 0x8914, 0x8916
_IFF_UP = 0x1
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_PORTS = 10

_libc = ctypes.CDLL(None, use_errno=True)


class OwnNetwork:
    """A thread in a network of its own, until the end of the block. ``folder`` is for a file."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="own-network")

    def run(self, scenario: Callable[[], T]) -> T:
        """What ``scenario`` returns, or raises, in there."""
        return self._thread.submit(scenario).result()

    def __enter__(self) -> OwnNetwork:
        self.run(self._begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()

    def _begin(self) -> None:
        _check(_libc.unshare(_CLONE_NEWNET | _CLONE_NEWNS), "a network of its own takes root's rights")
        _switch("lo", on=True)
        _check(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None), "mounts of its own")
        config = self._folder / "resolv.conf"
        config.write_text(f"nameserver {NAME_SERVER}\n")
        systems = os.path.realpath("/etc/resolv.conf").encode()
        _check(_libc.mount(str(config).encode(), systems, None, _MS_BIND, None), "a resolv.conf of its own")


# ── what can be done in there ───────────────────────────────────────────────────────────────────


@contextmanager
def no_port_left(*kinds: socket.SocketKind) -> Iterator[None]:
    """Within the block no socket of these kinds gets a port of the system's choosing: all ten are taken."""
    before = _PORT_RANGE.read_text()
    with ExitStack() as taken:
        first = next(first for first in range(61_000, 65_000, _PORTS) if _take(first, kinds, taken))
        _PORT_RANGE.write_text(f"{first} {first + _PORTS - 1}")
        try:
            yield
        finally:
            _PORT_RANGE.write_text(before)


def connect_outside() -> None:
    """From now on :data:`OUTSIDE` can be reached, and listened at."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        address = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(OUTSIDE))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, struct.pack("16s16s8x", b"lo:1", address))
    _switch("lo:1", on=True)


def cut_off_outside() -> None:
    """From now on nothing leads to :data:`OUTSIDE`: what is sent over open connections vanishes, and for new
    ones there is no route. Who listens there does so still when it is connected again."""
    _switch("lo:1", on=False)


def _take(first: int, kinds: tuple[socket.SocketKind, ...], taken: ExitStack) -> bool:
    with ExitStack() as ours:
        for kind in kinds:
            for port in range(first, first + _PORTS):
                try:
                    ours.enter_context(socket.socket(socket.AF_INET, kind)).bind(("", port))
                except OSError:  # a connection has it from before
                    return False
        taken.push(ours.pop_all())
    return True


def _switch(device: str, *, on: bool) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        found = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, struct.pack("16sH22x", device.encode(), 0))
        (flags,) = struct.unpack_from("H", found, 16)
        flags = flags | _IFF_UP if on else flags & ~_IFF_UP
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH22x", device.encode(), flags))


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
