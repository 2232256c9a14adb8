"""The dead letters of a connector, read back by its own reader."""

from __future__ import annotations

from dataclasses import dataclass

from connector.core.headers import DecodedPoison, HeaderFault, decode_dead
from connector.core.record import Headers
from connector.core.topic_names import dead_letters_topic
from connector.core.trail import PoisonTrail, Trail
from tests.support.checker import Place, read_all
from tests.support.names import Names


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One letter: what is known of it, and the source record that it carries."""

    trail: Trail | PoisonTrail
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def why(self) -> tuple[str, str]:
        """Reason and error class; for poison its code is the class."""
        match self.trail:
            case PoisonTrail(code=code):
                return "poison", code
            case Trail(reason=reason, error_class=error_class):
                return str(reason), error_class

    @property
    def is_pointer(self) -> bool:
        """Whether it holds only the beginning of a record too large to write."""
        return self.trail.pointer is not None


def read_dead_letters(bootstrap_servers: str, names: Names) -> dict[tuple[Place, str], DeadLetter]:
    """By the source record's place and the subscription's id (empty for poison). Fails when a letter
    cannot be read, or when two are about the same thing."""
    found: dict[tuple[Place, str], DeadLetter] = {}
    for message in read_all(bootstrap_servers, [dead_letters_topic(names.prefix)]):
        decoded = decode_dead(message.headers() or [])  # type: ignore[arg-type]  # consumed headers are bytes
        assert not isinstance(decoded, HeaderFault), decoded.why
        origin = decoded.trail.origin
        subscription = "" if isinstance(decoded, DecodedPoison) else decoded.trail.subscription_id
        about = (origin.topic, origin.partition, origin.offset), subscription
        assert about not in found, f"two letters about {about}"
        found[about] = DeadLetter(decoded.trail, message.key(), message.value(), decoded.headers)
    return found
