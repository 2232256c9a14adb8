"""The demo's receivers: one HTTP server that plays the partners' side, a path for each.

Every signature is verified before anything else, by code that shares nothing with the connector; what
comes after that is the receiver's behaviour. What was seen is counted, for the demo's summary.

Runs inside the demo, or by itself: ``python -m connector.demo.receivers --port 8080``, with the secrets
in ``RECEIVER_SECRET_BELLAMY`` and so on. ``GET /`` answers with the counters, ``GET /healthz`` with 200.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import uvicorn
from starlette.types import Receive, Scope, Send

from connector.demo.behaviours import Behaviour, Sound, parse_behaviour
from connector.demo.guides import CHECKS
from connector.demo.receiver import Receiver

BODY_BYTES_MAX = 2 * 1024 * 1024
"""Twice the connector's default limit; more than that is not read."""


class ReceiverApp:
    """An ASGI application that hosts receivers, each at its path (``/bellamy``)."""

    def __init__(self, receivers: Mapping[str, Receiver], *, now_s: Callable[[], float] = time.time) -> None:
        self.receivers = dict(receivers)
        self._now_s = now_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        path = scope["path"]
        if scope["method"] == "GET":
            await self._get(path, send)
        elif (receiver := self.receivers.get(path)) is None:
            await _respond(send, 404, f"there is no receiver at {path}")
        elif scope["method"] != "POST":
            await _respond(send, 405, "send a POST")
        else:
            await self._post(receiver, scope, receive, send)

    async def _post(self, receiver: Receiver, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = await _read(receive)
        if body is None:
            return  # the sender left before its request was whole; there is nothing to judge
        if len(body) > BODY_BYTES_MAX:
            await _respond(send, 413, "the body is too large")
            return
        if fault := receiver.verify(headers, body, self._now_s()):
            await _respond(send, 401, fault)
            return
        status = receiver.answer(headers.get("webhook-id", ""))
        if status is None:
            while (await receive())["type"] != "http.disconnect":
                pass
        else:
            await _respond(send, status, "")

    async def _get(self, path: str, send: Send) -> None:
        if path == "/healthz":
            await _respond(send, 200, "ok")
        elif path == "/":
            counted = {path: asdict(receiver.counters) for path, receiver in self.receivers.items()}
            await _respond(send, 200, json.dumps(counted, indent=2))
        else:
            await _respond(send, 404, "there are / and /healthz")


async def _read(receive: Receive) -> bytes | None:
    """The body, or what exceeds the limit by one message; ``None`` when the sender left."""
    chunks: list[bytes] = []
    size_bytes = 0
    while size_bytes <= BODY_BYTES_MAX:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size_bytes += len(chunk)
        if not message.get("more_body", False):
            break
    return b"".join(chunks)


async def _respond(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# ── by itself ───────────────────────────────────────────────────────────────────────────────────


def receivers_from(
    environment: Mapping[str, str], behaviours: Mapping[str, Behaviour]
) -> dict[str, Receiver]:
    """A receiver at ``/<guide>`` for each guide whose ``RECEIVER_SECRET_<GUIDE>`` is set. Raises
    :class:`ValueError` when there is none, and for a behaviour without its receiver."""
    receivers = {}
    for guide in CHECKS:
        if secret := environment.get(_secret_variable(guide)):
            behaviour = behaviours.get(guide, Sound())
            receivers[f"/{guide}"] = Receiver(guide=guide, secret=secret, behaviour=behaviour)
    if not receivers:
        raise ValueError(f"no secret is set; set one of {', '.join(map(_secret_variable, CHECKS))}")
    for guide in behaviours:
        if f"/{guide}" not in receivers:
            raise ValueError(f"there is no receiver {guide!r} to behave so; set {_secret_variable(guide)}")
    return receivers


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m connector.demo.receivers",
        description="Receivers for the demo, at /GUIDE for each guide that has a RECEIVER_SECRET_GUIDE.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--behave",
        action="append",
        default=[],
        metavar="GUIDE=HOW",
        help="sound (default), flaky:3 (every third request fails), down or hanging; may be repeated",
    )
    options = parser.parse_args(arguments)
    try:
        pairs = [entry.partition("=") for entry in options.behave]
        behaviours = {guide: parse_behaviour(how) for guide, _, how in pairs}
        receivers = receivers_from(os.environ, behaviours)
    except ValueError as error:
        parser.error(str(error))
    # Hanging requests would otherwise hold up the end for ever.
    uvicorn.run(
        ReceiverApp(receivers),
        host=options.host,
        port=options.port,
        lifespan="off",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


def _secret_variable(guide: str) -> str:
    return f"RECEIVER_SECRET_{guide.upper().replace('-', '_')}"


if __name__ == "__main__":
    main()
