"""``guard.forbid_networks`` from settings to both senders."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.app.adapters import sender_of
from connector.core.subscription import DIRECT, Egress
from connector.engine.ports import ForbiddenTarget
from connector.settings import load_settings


@pytest.mark.parametrize("egress", [DIRECT, Egress(http2=True)], ids=["fast", "second"])
async def test_neither_sender_sends_to_a_network_that_the_settings_forbid(
    tmp_path: Path, egress: Egress
) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("guard: {allow_networks: 0.0.0.0/0, forbid_networks: 198.35.26.0/23}")
    sender = sender_of(load_settings(config_file=file))

    allowed = sender.endpoint("https://10.0.0.1/", headers=(), content_type="a/b", egress=egress)
    with pytest.raises(ForbiddenTarget, match="forbid_networks names"):
        sender.endpoint("https://198.35.26.96/", headers=(), content_type="a/b", egress=egress)
    await sender.close()

    assert allowed.place == "https://10.0.0.1:443"
