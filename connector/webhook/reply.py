"""Bytes in, one reply out: the part of HTTP/1.1 that reads, with a cap on everything.

No I/O happens here. llhttp (httptools) does the parsing and sets no limits, so this module counts:
bytes of head, interim replies, bytes in all. A hostile receiver gets a fault or a short reply, never
memory.
"""

from __future__ import annotations

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from connector.core.outcome import Reply

HEAD_BYTES_MAX = 64 * 1024
"""Status lines and headers of one reply, interim replies included. Common servers send below 1 KiB
and common clients stop at 16 to 256 KiB."""

REPLY_BYTES_MAX = 256 * 1024
"""One reply in all. What a webhook's receiver has to say is its status; past this the status is taken
and the connection given up."""

INTERIM_REPLIES_MAX = 16
"""1xx replies before the final one. One is usual, a flood is an attack."""

SNIPPET_BYTES_MAX = 1024
"""How much of the body is kept, for the operator."""

RETRY_AFTER_BYTES_MAX = 1024
"""How much is kept of ``Retry-After`` where it is said more than once. A value takes at most 33."""

KNOWN_BYTES_MAX = 1024
"""The longest reply that :class:`KnownReply` keeps. What receivers say to a webhook is shorter."""


class ReplyFault(Exception):
    """What came is not a reply of HTTP/1.1, or exceeds a cap. The message says which."""


def with_one_more(said: bytes, more: bytes) -> bytes:
    """Another value of ``Retry-After``, a line more: which of them counts is not for who reads to say."""
    return said if len(said) > RETRY_AFTER_BYTES_MAX else b"%b\n%b" % (said, more)


class _StopParsing(Exception):
    """Leaves the parser in the middle of a chunk once nothing behind it matters."""


class KnownReply:
    """The last reply that came whole, alone and in one piece from one origin, and its bytes.

    A busy receiver says the same to every webhook, byte for byte, for as long as its ``Date`` stands; what
    was parsed a moment ago need not be parsed again. Shared by the connections of an origin.
    """

    __slots__ = ("data", "reply")

    def __init__(self) -> None:
        self.data = b""
        self.reply = Reply(0)


class ReplyReader:
    """Reads the replies of one connection, one at a time: :meth:`feed` until it returns the reply,
    then :meth:`restart` for the next if :attr:`may_reuse`.

    Header names and values are bytes; ``fields`` are those of the reply last returned, names in lower case,
    unless it was known. A compressed body yields no snippet: nothing is decompressed.
    """

    __slots__ = (
        "_body",
        "_fault",
        "_has_head",
        "_interim_replies",
        "_is_complete",
        "_known",
        "_parser",
        "_status",
        "fields",
        "may_reuse",
        "read_bytes",
    )

    def __init__(self, known: KnownReply) -> None:
        self._fault = ""
        self._known = known
        self.restart()
        self._parser = HttpResponseParser(self)

    def restart(self) -> None:
        """Forget the last reply. The parser itself goes on: it is ready for the next message."""
        self.read_bytes = 0
        self.may_reuse = False
        self._is_complete = False
        self._has_head = False
        self._interim_replies = 0
        self._status = 0
        self.fields: dict[bytes, bytes] = {}
        self._body = b""

    def close(self) -> None:
        """Let go of the parser, which holds this reader in a cycle."""
        del self._parser

    def feed(self, data: bytes) -> Reply | None:
        """Take what the receiver sent. Returns the reply once it is whole or its size is past caring,
        ``None`` while more must come. Raises :class:`ReplyFault`."""
        known = self._known
        if data == known.data and not self.read_bytes:
            # The parser stands between two messages, where it stood when it read these same bytes.
            self.read_bytes = len(data)
            self.may_reuse = True
            return known.reply
        if not self._has_head:
            room_bytes = HEAD_BYTES_MAX - self.read_bytes
            if len(data) > room_bytes:
                self._parse(data[:room_bytes])
                if not self._has_head:
                    raise ReplyFault(f"the head of the reply is longer than {HEAD_BYTES_MAX} bytes")
                data = data[room_bytes:]
        self._parse(data)
        if self._is_complete:
            reply = self._reply()
            if self.may_reuse and self.read_bytes == len(data) <= KNOWN_BYTES_MAX:
                known.data, known.reply = data, reply
            return reply
        if self._has_head and self.read_bytes > REPLY_BYTES_MAX:
            return self._reply()
        return None

    def end(self) -> Reply | None:
        """The receiver closed the connection in good order. Returns the reply if its end is the end
        of the connection, ``None`` if the reply is not whole."""
        if self._has_head and not self._has_length():
            return self._reply()
        return None

    def _has_length(self) -> bool:
        """Whether the reply says where it ends, so that the connection's end would cut it short."""
        coding = self.fields.get(b"transfer-encoding", b"")
        return b"content-length" in self.fields or coding.lower().endswith(b"chunked")

    def _may_bring_more(self) -> bool:
        """Whether a reply of a kind that has no body announces one. Sent later, it would be taken for the
        beginning of the next reply."""
        if self._status not in (204, 304):
            return False
        return self.fields.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.fields

    def _reply(self) -> Reply:
        fields = self.fields
        is_compressed = fields.get(b"content-encoding", b"identity").lower() != b"identity"
        return Reply(
            self._status,
            fields.get(b"retry-after"),
            fields.get(b"date"),
            b"" if is_compressed else self._body,
            fields.get(b"content-type", b""),
        )

    def _parse(self, data: bytes) -> None:
        self.read_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            raise ReplyFault("the reply switches to another protocol") from None
        except HttpParserCallbackError:
            if self._fault:
                raise ReplyFault(self._fault) from None
            if not self._is_complete:
                raise  # a bug in a callback below
            self.may_reuse = False
        except HttpParserError as error:
            if not self._is_complete:
                raise ReplyFault(f"the reply is not HTTP/1.1: {error}") from None
            self.may_reuse = False

    # What follows is called by the parser. Raising is how it is stopped.

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise _StopParsing  # bytes after the reply: nobody asked for them

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer, which nobody asked for
        name = name.lower()
        if name == b"retry-after" and name in self.fields:
            value = with_one_more(self.fields[name], value)
        self.fields[name] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._status = status
            self._has_head = True
            return
        self.fields.clear()
        self._interim_replies += 1
        if status == 101:
            self._stop("the reply switches to another protocol")
        if status < 100:
            self._stop(f"the reply's status is {status:03}")
        if self._interim_replies > INTERIM_REPLIES_MAX:
            self._stop(f"more than {INTERIM_REPLIES_MAX} interim replies (1xx)")

    def on_body(self, data: bytes) -> None:
        room_bytes = SNIPPET_BYTES_MAX - len(self._body)
        if room_bytes > 0:
            self._body += data[:room_bytes]

    def on_message_complete(self) -> None:
        if self._has_head:
            self._is_complete = True
            self.may_reuse = self._parser.should_keep_alive() and not self._may_bring_more()

    def _stop(self, fault: str) -> None:
        self._fault = fault
        raise _StopParsing
