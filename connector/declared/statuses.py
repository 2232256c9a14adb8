"""Which replies a subscription takes as final, as people declare it: nothing, the usual ones, or a list."""

from __future__ import annotations

from typing import Final

from connector.core.judging import FINAL_STATUSES

_NONE: Final[frozenset[int]] = frozenset()  # one for all: an empty set takes 216 bytes
_COME_BACK_LATER: Final = {408: "timed out", 425: "is too early", 429: "comes too often"}


def final_statuses(declared: object) -> frozenset[int]:
    """``none``, ``standard`` (:data:`~connector.core.judging.FINAL_STATUSES`) or a list, such as ``[400]``.

    Raises :class:`ValueError` for a status that speaks of now and not of the request: what is final
    becomes a dead letter at once.
    """
    match declared:
        case "none":
            return _NONE
        case "standard":
            return FINAL_STATUSES
        case list():
            return frozenset(_final_status(status) for status in declared)
    raise ValueError("must be none, standard, or a list of statuses such as [400, 422]")


def _final_status(status: object) -> int:
    if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 499:
        raise ValueError("only statuses from 400 to 499 can be final: the others may pass; leave them out")
    if why := _COME_BACK_LATER.get(status):
        raise ValueError(f"{status} cannot be final: it says that a request {why}; leave it out")
    return status
