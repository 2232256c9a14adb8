"""Parts of a sender that find no descriptor left: the fault is ours, and over when it is over.

Run by ``test_shortage.py``, in a process where nobody else takes a descriptor or gives one back.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from connector.core.outcome import Failure
from connector.engine.ports import UnusableIdentity
from connector.webhook.tls import TlsContexts
from tests.contracts.sender_tls_contract import authority, ca_file
from tests.support.http2_link import Server, a_link, a_request, link_to_a_server
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


async def test_a_descriptor_that_is_missing_within_httpcore_is_no_fault_of_the_receiver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It looks for an optional module when it first uses a lock, for which Python reads changed directories.
    monkeypatch.syspath_prepend(tmp_path)
    importlib.util.find_spec("none_such")
    begun, _ = await link_to_a_server()
    other, _ = a_link(Server)

    with descriptors_left(0):
        os.utime(tmp_path, (1, 1))
        failures = [await begun.carry(a_request()), await other.begin()]

    assert [failure.kind for failure in failures if isinstance(failure, Failure)] == ["resources"] * 2
