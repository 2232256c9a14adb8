"""``guard.ca_file`` from settings to wire: receivers inside the house, with certificates of its own."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trustme

from connector.app.trial import Trial, sample_event, try_out
from connector.cli.main import main
from connector.core.outcome import Failure, Reply
from connector.settings import load_settings
from connector.settings.subscription_rules import subscription_rules
from connector.subscriptions.file import Loaded, load_subscriptions
from tests.support.raw_receiver import always, ok, receiving

AUTHORITY = trustme.CA()
BROKEN = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n"


def server_tls() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    return context


def write_settings(folder: Path, **guard: object) -> Path:
    file = folder / "settings.yaml"
    given = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "topics": [{"name": "post.created", "format": "json"}],
        "subscriptions_file": str(folder / "subscriptions.yaml"),
        "guard": {"allow_networks": ["127.0.0.0/8"], **guard},
    }
    file.write_text(json.dumps(given))
    return file


async def tried(folder: Path, url: str, **guard: object) -> Trial:
    secrets = {"current": "correct-horse"}
    one = {"id": "inside", "url": url, "events": ["*"], "dialect": "notify", "secrets": secrets}
    (folder / "subscriptions.yaml").write_text(json.dumps({"subscriptions": [one]}))
    settings = load_settings(config_file=write_settings(folder, **guard))
    loaded = load_subscriptions(settings.subscriptions_file, subscription_rules(settings))
    assert isinstance(loaded, Loaded)
    (subscription,) = loaded.subscriptions
    event = sample_event("post.created", now_ms=1_700_000_000_000)
    return await try_out(settings, subscription, event, all_subscriptions=[subscription])


async def test_the_authorities_of_the_settings_are_trusted_beside_the_systems(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(ca_file))

    async with receiving(always(ok()), server_tls()) as receiver:
        with_it = await tried(tmp_path, receiver.url(), ca_file=str(ca_file))
        without = await tried(tmp_path, receiver.url())

    assert isinstance(with_it.answer, Reply)
    assert with_it.answer.status == 200
    assert isinstance(without.answer, Failure)
    assert without.answer.kind == "tls"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "path does not point to a file"),
        ("hello", "holds no certificate as PEM; write one into it, or name another"),
        (BROKEN, "cannot be used"),
    ],
    ids=["missing", "no certificate", "broken"],
)
@pytest.mark.parametrize("command", ["run", "run --dry-run", "doctor", "subscriptions test inside"])
def test_a_file_that_cannot_be_used_is_refused_by_name_and_place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    content: str | None,
    why: str,
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("ca.pem").write_text(content)
    config = write_settings(tmp_path, ca_file="ca.pem")

    code = main([*command.split(), "--config", str(config)])

    told = capsys.readouterr().err
    assert code == 2
    assert told.startswith(f"{config}:1:")
    assert "guard.ca_file: " in told
    assert "ca.pem" in told
    assert why in told
