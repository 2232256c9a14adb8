"""Two senders behind one port: the fast one for nearly all, the second for what only it can do.

The way a subscription's POSTs leave (:class:`~connector.core.subscription.Egress`) decides, once, when its
endpoint is made. The second sender is made when the first endpoint needs it: a deployment that knows
neither proxies nor HTTP/2 never pays for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from connector.core.outcome import Failure, Reply
from connector.core.subscription import DIRECT, Egress, TlsIdentity
from connector.engine.ports import Endpoint
from connector.webhook.egress_sender import EgressEndpoint, EgressSender
from connector.webhook.sender import PreparedEndpoint, WebhookSender

RoutedEndpoint = PreparedEndpoint | EgressEndpoint


class SenderRouter:
    """Implements :class:`connector.engine.ports.Sender` over a fast sender and what makes a second one."""

    def __init__(self, fast: WebhookSender, make_second: Callable[[], EgressSender]) -> None:
        self._fast = fast
        self._make_second = make_second
        self._second: EgressSender | None = None

    def endpoint(
        self,
        url: str,
        *,
        headers: Sequence[tuple[str, str]],
        content_type: str,
        tls: TlsIdentity | None = None,
        egress: Egress = DIRECT,
    ) -> RoutedEndpoint:
        """See :meth:`connector.engine.ports.Sender.endpoint`."""
        if egress == DIRECT:
            return self._fast.endpoint(url, headers=headers, content_type=content_type, tls=tls)
        if self._second is None:
            self._second = self._make_second()
        return self._second.endpoint(
            url, headers=headers, content_type=content_type, tls=tls, egress=egress
        )

    def post(
        self,
        endpoint: Endpoint,
        headers: bytes,
        body: bytes,
        timeout_ms: int,
        context: Any,  # handed back untouched
        done: Callable[[Any, Reply | Failure], None],
    ) -> None:
        """See :meth:`connector.engine.ports.Sender.post`."""
        self._of(endpoint).post(endpoint, headers, body, timeout_ms, context, done)

    async def reach(self, endpoint: Endpoint, timeout_ms: int) -> Failure | None:
        """Open a connection as for a delivery, send nothing, and close it: why there is none, or ``None``."""
        return await self._of(endpoint).reach(endpoint, timeout_ms)

    def cancel_all(self) -> None:
        """See :meth:`connector.engine.ports.Sender.cancel_all`."""
        self._fast.cancel_all()
        if self._second is not None:
            self._second.cancel_all()

    async def close(self) -> None:
        """Close both; no socket, task or timer is left."""
        closing = [self._fast.close()]
        if self._second is not None:
            closing.append(self._second.close())
        await asyncio.gather(*closing)

    def _of(self, endpoint: Endpoint) -> WebhookSender | EgressSender:
        if isinstance(endpoint, PreparedEndpoint):
            return self._fast
        assert self._second is not None
        return self._second
