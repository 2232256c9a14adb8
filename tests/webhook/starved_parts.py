"""Parts of a sender that find no descriptor left: the fault is ours, and over when it is over.

Run by ``test_shortage.py``, in a process where nobody else takes a descriptor or gives one back.
"""

from __future__ import annotations

import pytest

from connector.engine.ports import UnusableIdentity
from connector.webhook.tls import TlsContexts
from tests.contracts.sender_tls_contract import authority, ca_file
from tests.support.starved_sender import descriptors_left

__all__ = ["authority", "ca_file"]


def test_authorities_that_could_not_be_read_are_not_taken_for_none(
    ca_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", ca_file)
    contexts = TlsContexts(None)

    with descriptors_left(0), pytest.raises(UnusableIdentity, match=r"authorities in .*ca\.pem"):
        contexts.context(None)

    assert len(contexts.context(None).get_ca_certs()) >= 1
