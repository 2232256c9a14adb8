"""Whether this machine has run out of something: file descriptors, ports, buffers, memory.

Then nobody was asked, and nobody else is to blame. What comes of it is the caller's.
"""

from __future__ import annotations

import errno
import socket
from typing import Final

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Errors of the system that say so. For want of ports ``connect`` says EADDRNOTAVAIL."""


def shortage() -> str:
    """What there is too little of to ask a name server, in the system's words; empty when of nothing. It is
    found out by opening a socket and giving it a port, which takes some 5 µs."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", 0))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:  # as bind says it
            return "no port is free"
        if error.errno in SHORTAGES:
            return str(error.strerror)
    return ""
