"""TLS as every receiver gets it: 1.2 or later, verified against the system's authorities."""

from __future__ import annotations

import ssl


def client_context(extra_ca_file: str | None = None) -> ssl.SSLContext:
    """The context of all https connections. ``extra_ca_file`` (PEM) adds the deployment's own
    authorities to the system's. Raises ``OSError`` or ``ssl.SSLError`` when it cannot be read."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if extra_ca_file is not None:
        context.load_verify_locations(cafile=extra_ca_file)
    return context
