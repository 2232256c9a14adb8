"""Whether files changed, without reading all of them every second.

A file is read again when its status changed or when it was written so lately that another write could hide
behind the same status; it counts as changed only when its content did. Symbolic links are followed every
time, so the swap of a Kubernetes ConfigMap's ``..data`` link is seen like any other change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from connector.declared.document import FILE_BYTES_MAX

SETTLING_NS = 2_000_000_000
"""File systems stamp times as coarsely as this; a file older than it when looked at cannot fool us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A file at one moment. ``digest`` is ``None`` when there was nothing to read."""

    status: tuple[int, ...]
    digest: bytes | None
    is_settled: bool


Looks = Mapping[Path, Look]


def look_at(files: Iterable[Path], before: Looks, *, now_ns: int) -> Looks:
    """All ``files`` now; ``before`` saves reading those that stayed the same. Blocks on the disk."""
    return {file: _look(file, before.get(file), now_ns) for file in files}


def are_same(before: Looks, after: Looks) -> bool:
    """Whether both show the same files with the same contents."""
    return before.keys() == after.keys() and all(
        before[file].digest == look.digest for file, look in after.items()
    )


def _look(file: Path, before: Look | None, now_ns: int) -> Look:
    try:
        stat = file.stat()
        status = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if before is not None and before.is_settled and before.status == status:
            return before
        with file.open("rb") as opened:
            digest = blake2b(opened.read(FILE_BYTES_MAX + 1), digest_size=16).digest()
    except OSError:
        return Look(status=(), digest=None, is_settled=False)
    newest_ns = max(stat.st_mtime_ns, stat.st_ctime_ns)
    return Look(status=status, digest=digest, is_settled=now_ns - newest_ns > SETTLING_NS)
