"""Whether a receiver may have answered without having read the request to its end.

Some refuse a large body (413, 401, 429) as soon as they have read its head, read no more of it, and keep the
connection. The next request over it would wait behind the rest of this one for its whole deadline, and that
would be billed to a receiver that may be well. How much of a request has been read cannot be asked; but what
was refused need not have been, and what is still with us was not.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios

LARGE_BYTES = 64 * 1024
"""What is no longer than this, common servers take off the connection along with the head, whatever they
answer."""


def may_be_early(transport: asyncio.Transport, *, request_bytes: int, status: int) -> bool:
    """Judged when a reply with this status is whole. Of a request that is not large, no more is asked than
    what the transport itself knows to be unsent: it costs nothing."""
    if request_bytes <= LARGE_BYTES:
        return transport.get_write_buffer_size() > 0
    return not 200 <= status <= 299 or _has_unsent(transport)


def _has_unsent(transport: asyncio.Transport) -> bool:
    """Whether the other side's system has not yet acknowledged all that was written. It has when it sends an
    answer to what it has read. The transport cannot tell: over TLS, uvloop's speaks of what waits to be
    encrypted, and says 0 while megabytes wait to be sent."""
    if transport.is_closing():
        return True
    socket = transport.get_extra_info("socket")
    try:
        unsent = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # not every system knows the question: then the transport's word has to do
        return transport.get_write_buffer_size() > 0
    return int.from_bytes(unsent, sys.byteorder) > 0
