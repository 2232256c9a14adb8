"""Subscription files for tests: rules to read them by, and one that is sound."""

from __future__ import annotations

from pathlib import Path

from connector.core.subscription import TlsIdentity
from connector.subscriptions.build import Defaults, Rules


def only_https(url: str) -> str:
    """Stands in for the sender's judgement of a URL."""
    return "" if url.startswith("https://") else "use https"


def only_http(url: str) -> str:
    """Stands in for the sender's judgement of a proxy's URL."""
    return "" if url.startswith("http://") else "write http://host:port"


def identify(*, certificate_file: Path | None, key_file: Path | None, ca_file: Path | None) -> TlsIdentity:
    """Stands in for the sender's judgement of TLS files: any that can be read will do."""
    texts = []
    for file in (certificate_file, key_file, ca_file):
        if file is not None and not file.exists():
            raise ValueError(f"the file {file.name} cannot be read; check the path")
        texts.append("" if file is None else file.read_text())
    return TlsIdentity(
        certificate_file=str(certificate_file or ""),
        key_file=str(key_file or ""),
        ca_file=str(ca_file or ""),
        digest="|".join(texts),
    )


RULES = Rules(
    defaults=Defaults(in_flight_max=16, queue_max=200, body_bytes_max=1 << 20, max_age_extra_ms=86_400_000),
    url_fault=only_https,
    proxy_fault=only_http,
    identify=identify,
)

ONE = """\
- id: {id}
  url: https://receiver.example/{id}
  events: [post.created]
  dialect: bellamy
  secrets:
    current: correct-horse
"""


def file_of(*ids: str) -> str:
    """A sound file with a subscription of each id."""
    return "subscriptions:\n" + "".join(ONE.format(id=id_) for id_ in ids)
