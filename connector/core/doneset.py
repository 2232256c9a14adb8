"""The done-set: which offsets above a committed one are already settled, as the commit's metadata.

A group's commit says one number, but deliveries finish out of order. Without more, a crash would send
again all that was settled above that number; this text, committed beside it, keeps that from happening.

It promises to be read back exactly or not at all. A checksum over topic id and content makes another
tool's metadata, a cut text, or the done-set of a topic that was since recreated unreadable; reading
never raises and is bounded, whatever the text. When to write one, and that a record of a later leader
epoch is never in it, is left to the ledger and the commits.

::

    ds1.<base64url>     zlib flag | checksum | base | leader epoch + 1 | kind | content

    kind 0, bits        one bit per offset from base + 1 on, lowest bit first
    kind 1, runs        the gap before each run of done offsets, from base on; then each run's length

Numbers are varints. Gaps stand apart from lengths because either, alone, is mostly ones. Runs are short
both when few are done and when few are not; bits when neither holds. Whichever text is shorter is
taken. Offsets that do not exist count as not done.
"""

from __future__ import annotations

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate, chain
from operator import sub
from typing import Final

CHARS_MAX: Final = 3_000
"""Brokers take 4,096 bytes of metadata by default; the rest is left as a margin."""

CONTENT_BYTES_MAX: Final = 32_768
"""Uncompressed, when written and when read: 262,144 offsets as bits, or 16,384 runs or more. It also
bounds what a hostile text can cost."""

_PREFIX = "ds1."
_TEXT_CHARS_MAX = 65_536  # a broker may be set to take more than we ever write
_CHECKSUM_BYTES = 8
_PLAIN, _ZLIB = b"\0", b"\1"
_BITS, _RUNS = 0, 1
_OFFSET_MAX = 2**63 - 1
_VARINT_BYTES_MAX = 9  # 63 bits
_ONES = re.compile("1+")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneSet:
    """Offsets settled above ``base``, the committed offset it was written with.

    ``leader_epoch`` is the one of its highest offset, -1 when unknown. The set is kept as runs of
    offsets: ``starts`` and ``ends`` (each one past its run's last), both ascending and never empty.
    """

    base: int
    leader_epoch: int
    starts: Sequence[int]
    ends: Sequence[int]

    @property
    def highest(self) -> int:
        """The highest offset in the set; past it the set is of no more use."""
        return self.ends[-1] - 1

    def contains(self, offset: int) -> bool:
        """Whether ``offset`` was settled."""
        run = bisect_right(self.starts, offset) - 1
        return run >= 0 and offset < self.ends[run]

    def above(self, offset: int) -> list[int]:
        """The offsets in the set that are higher, ascending."""
        runs = zip(self.starts, self.ends, strict=True)
        return [one for start, end in runs for one in range(max(start, offset + 1), end)]


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def encode(
    base_offset: int, done: Sequence[int], *, topic_id: str, leader_epoch: int, chars_max: int = CHARS_MAX
) -> str | None:
    """The text for ``done``: strictly ascending offsets above ``base_offset``, the offset committed.

    Empty when nothing is done; ``None`` when it would be longer than ``chars_max``. ``leader_epoch``
    is the one of the last offset, -1 when unknown.
    """
    if not done:
        return ""
    assert done[0] > base_offset, "what is done lies above the watermark"
    starts, ends = _runs_of(done)
    head = _varint(base_offset) + _varint(leader_epoch + 1)
    bodies = []
    if (runs := _runs_content(base_offset, starts, ends)) is not None:
        bodies.append(head + bytes((_RUNS,)) + runs)
    if (bits := _bits_content(base_offset, starts, ends)) is not None:
        bodies.append(head + bytes((_BITS,)) + bits)
    texts = [_seal(body, topic_id) for body in bodies]
    return min((text for text in texts if len(text) <= chars_max), key=len, default=None)


def _runs_of(done: Sequence[int]) -> tuple[list[int], list[int]]:
    """Where each run of consecutive offsets starts, and one past where it ends."""
    starts, ends = [done[0]], []
    expected = done[0]
    for offset in done:
        if offset != expected:
            assert offset > expected, "done offsets are sorted and each is there once"
            ends.append(expected)
            starts.append(offset)
        expected = offset + 1
    ends.append(expected)
    return starts, ends


def _runs_content(base: int, starts: Sequence[int], ends: Sequence[int]) -> bytes | None:
    if 2 * len(starts) > CONTENT_BYTES_MAX:
        return None
    gaps = map(sub, starts, (base, *ends))
    lengths = map(sub, ends, starts)
    content = b"".join(map(_varint, chain(gaps, lengths)))
    return content if len(content) <= CONTENT_BYTES_MAX else None


def _bits_content(base: int, starts: Sequence[int], ends: Sequence[int]) -> bytes | None:
    first = base + 1
    if ends[-1] - first > CONTENT_BYTES_MAX * 8:
        return None
    # Highest offset leftmost, as int() reads it; one pass over text is far cheaper than shifting a long int.
    digits: list[str] = []
    position = first
    for start, end in zip(starts, ends, strict=True):
        digits += ("0" * (start - position), "1" * (end - start))
        position = end
    bits = int("".join(digits)[::-1], 2)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


def _seal(body: bytes, topic_id: str) -> str:
    packed = zlib.compress(body, 9)
    flag, content = (_ZLIB, packed) if len(packed) < len(body) else (_PLAIN, body)
    sealed = flag + _checksum(body, topic_id) + content
    return _PREFIX + _base64url(sealed)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────


def decode(text: str, *, topic_id: str) -> DoneSet | None:
    """The set that :func:`encode` wrote for this topic; ``None`` for any other text. Never raises."""
    if not text.startswith(_PREFIX) or len(text) > _TEXT_CHARS_MAX:
        return None
    body = _unseal(text[len(_PREFIX) :], topic_id)
    if body is None:
        return None
    numbers = _Varints(body)
    base, epoch_plus_one, kind = numbers.next(), numbers.next(), numbers.next()
    if base is None or epoch_plus_one is None:
        return None
    if kind == _RUNS:
        runs = _read_runs(base, numbers)
    elif kind == _BITS:
        runs = _read_bits(base, numbers.rest())
    else:
        return None
    if runs is None:
        return None
    starts, ends = runs
    return DoneSet(base=base, leader_epoch=epoch_plus_one - 1, starts=starts, ends=ends)


def _unseal(text: str, topic_id: str) -> bytes | None:
    try:
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if _base64url(sealed) != text:  # the decoder skips and corrects what is no base64url
            return None
        flag, checksum, content = sealed[:1], sealed[1 : 1 + _CHECKSUM_BYTES], sealed[1 + _CHECKSUM_BYTES :]
        if flag == _ZLIB:
            unpacking = zlib.decompressobj()
            # Room for the content and the three numbers before it; a bomb stops here.
            body = unpacking.decompress(content, CONTENT_BYTES_MAX + 32)
            if not unpacking.eof or unpacking.unused_data:
                return None
        elif flag == _PLAIN:
            body = content
        else:
            return None
    except (Base64Error, ValueError, zlib.error):
        return None
    return body if checksum == _checksum(body, topic_id) else None


def _read_runs(base: int, numbers: _Varints) -> tuple[list[int], list[int]] | None:
    steps: list[int] = []
    while not numbers.is_at_end:
        step = numbers.next()
        if not step:  # cut short, or a run of nothing
            return None
        steps.append(step)
    count, odd = divmod(len(steps), 2)
    if odd or not steps:
        return None
    in_turn = chain.from_iterable(zip(steps[:count], steps[count:], strict=True))
    edges = list(accumulate(in_turn, initial=base))
    return (edges[1::2], edges[2::2]) if edges[-1] <= _OFFSET_MAX else None


def _read_bits(base: int, content: bytes) -> tuple[list[int], list[int]] | None:
    digits = f"{int.from_bytes(content, 'little'):b}"[::-1]
    first = base + 1
    runs = [run.span() for run in _ONES.finditer(digits)]
    if not runs or first + len(digits) > _OFFSET_MAX:
        return None
    return [first + start for start, _ in runs], [first + end for _, end in runs]


# ── both ────────────────────────────────────────────────────────────────────────────────────────


def _checksum(body: bytes, topic_id: str) -> bytes:
    return blake2b(topic_id.encode("utf-8", "replace") + b"\0" + body, digest_size=_CHECKSUM_BYTES).digest()


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _varint(number: int) -> bytes:
    assert 0 <= number <= _OFFSET_MAX, "offsets are not negative and have 63 bits"
    content = bytearray()
    while number > 0x7F:
        content.append(number & 0x7F | 0x80)
        number >>= 7
    content.append(number)
    return bytes(content)


class _Varints:
    """Reads numbers one after another; each is ``None`` once the bytes are no such number."""

    __slots__ = ("_bytes", "_position")

    def __init__(self, content: bytes) -> None:
        self._bytes = content
        self._position = 0

    @property
    def is_at_end(self) -> bool:
        return self._position >= len(self._bytes)

    def next(self) -> int | None:
        number = 0
        for shift, byte in enumerate(self._bytes[self._position : self._position + _VARINT_BYTES_MAX]):
            number |= (byte & 0x7F) << (7 * shift)
            if byte < 0x80:
                self._position += shift + 1
                return number
        self._position = len(self._bytes)
        return None

    def rest(self) -> bytes:
        return self._bytes[self._position :]
