"""``guard.forbid_networks`` from settings to both senders, and to the check of a subscriptions file."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.adapters import sender_of
from connector.core.subscription import DIRECT, Egress
from connector.engine.ports import ForbiddenTarget
from connector.settings import load_settings
from connector.settings.subscription_rules import subscription_rules


@pytest.mark.parametrize("egress", [DIRECT, Egress(http2=True)], ids=["fast", "second"])
async def test_neither_sender_sends_where_the_check_of_a_file_says_that_the_settings_forbid_it(
    tmp_path: Path, egress: Egress
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("guard: {allow_networks: 0.0.0.0/0, forbid_networks: 198.35.26.0/23}")
    settings = load_settings(config_file=file)
    url_fault = subscription_rules(settings).url_fault
    sender = sender_of(settings)

    allowed = sender.endpoint("https://10.0.0.1/", headers=(), content_type="a/b", egress=egress)
    with pytest.raises(ForbiddenTarget, match="forbid_networks names") as refused:
        sender.endpoint("https://198.35.26.96/", headers=(), content_type="a/b", egress=egress)
    await sender.close()

    assert allowed.place == "https://10.0.0.1:443"
    assert url_fault("https://10.0.0.1/") == ""
    assert url_fault("https://198.35.26.96/") == str(refused.value)
