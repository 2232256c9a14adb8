"""The process as operators see it: its probes, its metrics, its log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from connector.declared.kinds import Declared


class HttpSettings(Declared):
    """Serves /healthz, /readyz and /metrics, which hold no secrets and change nothing."""

    host: str = Field(
        default="0.0.0.0",  # noqa: S104  see the description
        description="Address to listen on. All of them by default: probes and scrapers come from outside the "
        "container.",
    )
    port: int = Field(default=8080, ge=0, le=65_535, description="0 takes any free port and logs which.")


class LogSettings(Declared):
    format: Literal["json", "console"] = Field(
        default="json", description="json: one object per line, for collectors. console: for people."
    )
    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="A delivery that goes well writes no line at any of these but debug."
    )
