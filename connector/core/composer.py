"""Composing: from an event to what one POST carries, everything decided beforehand compiled away.

A composer is made once per subscription and called once per attempt. The body of the fifth attempt
equals the body of the first; only the headers know the time.
"""

from __future__ import annotations

from binascii import hexlify
from collections.abc import Callable
from typing import assert_never

from connector.core.cloudevents import binary_headers, structured_body
from connector.core.dialect import CloudEventsEnvelope, Dialect, JsonEnvelope
from connector.core.envelope import Render, compile_envelope
from connector.core.event import Event
from connector.core.signing import Sign, SignEd25519, compile_signer, text_digest
from connector.core.subscription import Secrets


class Composer:
    """Composes the POSTs of one subscription. Made by :func:`compile_composer`; holds no printable secret."""

    __slots__ = ("_attributes", "_body", "_seal", "_sign", "content_type")

    def __init__(
        self,
        *,
        content_type: str,
        body: Render,
        seal: Callable[[bytes], bytes] | None,
        sign: Sign,
        attributes: Render | None,
    ) -> None:
        self.content_type = content_type
        self._body = body
        self._seal = seal
        self._sign = sign
        self._attributes = attributes

    def compose(self, event: Event, now_s: int) -> tuple[bytes, bytes]:
        """Headers and body of an attempt at ``now_s`` (UNIX seconds).

        The headers are encoded lines, each ended by CRLF: ``webhook-id`` and whatever the dialect adds.
        Content type and length, host and user agent are the sender's.
        """
        body = self._body(event)
        if self._seal is not None:
            body = self._seal(body)
        headers = self._sign(event.id.encode(), now_s, body)
        if self._attributes is not None:
            headers += self._attributes(event)
        return headers, body


def compile_composer(
    dialect: Dialect, secrets: Secrets | None, *, sign_ed25519: SignEd25519 | None = None
) -> Composer:
    """A composer that speaks ``dialect`` and signs with ``secrets`` (without any, it does not sign).

    Raises :class:`~connector.core.dialect.DialectError` for a secret that the dialect cannot use.
    """
    seal: Callable[[bytes], bytes] | None = None
    attributes: Render | None = None
    match dialect.envelope:
        case JsonEnvelope() as envelope:
            body = compile_envelope(envelope)
            if envelope.is_signed and secrets is not None:
                seal = _compile_seal(envelope.members[-1][0], secrets)
        case CloudEventsEnvelope(mode=mode):
            body, attributes = (structured_body, None) if mode == "structured" else (_data, binary_headers)
        case _ as never:
            assert_never(never)
    return Composer(
        content_type=dialect.content_type,
        body=body,
        seal=seal,
        sign=compile_signer(dialect, secrets, sign_ed25519=sign_ed25519),
        attributes=attributes,
    )


def _compile_seal(name: str, secrets: Secrets) -> Callable[[bytes], bytes]:
    """Adds the member ``name`` with the hex HMAC of the body as it is without it."""
    digest = text_digest(secrets)
    sealed = b'%%b,"%b":"%%b"}' % name.encode()
    return lambda body: sealed % (body[:-1], hexlify(digest(body)))


def _data(event: Event) -> bytes:
    return event.data
