"""A secret setting: its text, ``{env: NAME}`` or ``{file: PATH}``, read while settings are loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SecretStr

from connector.declared.secret import read_secret, secret_source


def _read(declared: object) -> SecretStr:
    if isinstance(declared, SecretStr):
        return declared
    return SecretStr(read_secret(secret_source(declared), folder=Path()))


SecretText = Annotated[SecretStr, BeforeValidator(_read)]
"""Never printed: ``get_secret_value()`` gives the text. A relative file starts at the working directory."""
