"""TLS as every receiver gets it: 1.2 or later, verified, as the deployment or by an identity of its own."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from functools import cached_property
from weakref import WeakValueDictionary

from connector.core.subscription import TlsIdentity
from connector.engine.ports import UnusableIdentity
from connector.webhook.identity import load_authorities, load_identity


class TlsContexts:
    """One context per identity, kept for as long as an endpoint has it; the deployment's own for good.

    None is made before an endpoint asks for it: to trust the system's authorities takes 40 ms and 1 MB.
    """

    def __init__(self, extra_ca_file: str | None, *, protocols: Sequence[str] = ("http/1.1",)) -> None:
        """``extra_ca_file`` (PEM) adds the deployment's own authorities to the system's; ``protocols`` are
        offered by ALPN. Raises :class:`~connector.engine.ports.UnusableIdentity` when the file is of no
        use."""
        if extra_ca_file is not None:
            load_authorities(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), extra_ca_file)
        self._extra_ca_file = extra_ca_file
        self._protocols = list(protocols)
        self._by_identity: WeakValueDictionary[TlsIdentity, ssl.SSLContext] = WeakValueDictionary()

    def context(self, identity: TlsIdentity | None) -> ssl.SSLContext:
        """The context of all https connections of this identity; ``None`` is the deployment's own.

        An identity that names authorities trusts them alone, and takes 1 ms and 30 kB to load. Raises
        :class:`~connector.engine.ports.UnusableIdentity`.
        """
        if identity is None:
            return self._deployments_own
        context = self._by_identity.get(identity)
        if context is None:
            # Either way the certificate and the name are verified.
            context = (
                self._restricted(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
                if identity.ca_file
                else self._trusting_the_system()
            )
            load_identity(context, identity)
            self._by_identity[identity] = context
        return context

    @cached_property
    def _deployments_own(self) -> ssl.SSLContext:
        return self._trusting_the_system()

    def _trusting_the_system(self) -> ssl.SSLContext:
        context = self._restricted(ssl.create_default_context())
        file = ssl.get_default_verify_paths().cafile
        if file is not None and not context.cert_store_stats()["x509_ca"]:
            # OpenSSL says nothing of it, and everybody's certificate would be refused from now on.
            raise UnusableIdentity(
                f"the system's authorities in {file} cannot be used; write them into it as PEM, and see to "
                f"it that this process may open files"
            )
        if self._extra_ca_file is not None:
            load_authorities(context, self._extra_ca_file)
        return context

    def _restricted(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(self._protocols)
        return context
