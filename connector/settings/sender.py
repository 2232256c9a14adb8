"""By which way webhooks leave the house."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from connector.declared.kinds import Declared
from connector.webhook.proxy import parse_proxy


def _proxy(url: str) -> str:
    parse_proxy(url)
    return url


class SenderSettings(Declared):
    proxy: Annotated[str, AfterValidator(_proxy)] | None = Field(
        default=None,
        description="The egress proxy of every subscription that names none of its own, such as "
        "http://egress.internal:3128. It resolves the names, so it must refuse addresses inside the house. "
        "Without one POSTs leave directly, by a sender that takes far less processor time.",
    )
