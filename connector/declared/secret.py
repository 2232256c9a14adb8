"""Secret values, and the three places one may come from: the text itself, the environment, a file."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

SECRET_BYTES_MAX = 64 << 10
"""A secret file larger than this is a mistake, such as a certificate bundle."""


@dataclass(frozen=True, slots=True)
class Written:
    """The value stands where it is declared."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FromEnvironment:
    name: str


@dataclass(frozen=True, slots=True)
class FromFile:
    """A mounted file; a relative path starts at the folder of the file that names it."""

    path: str


SecretSource = Written | FromEnvironment | FromFile


def secret_source(declared: object) -> SecretSource:
    """Where the secret is: ``text``, ``{env: NAME}`` or ``{file: PATH}``.

    Raises :class:`ValueError`, which never quotes what was declared, for anything else.
    """
    match declared:
        case Written() | FromEnvironment() | FromFile():
            return declared
        case str(text) if text:
            return Written(text)
        case {"env": str(name), **rest} if name and not rest:
            return FromEnvironment(name)
        case {"file": str(path), **rest} if path and not rest:
            return FromFile(path)
        case int() | float():
            raise ValueError("must be text; put it in quotes")
    raise ValueError("must be the text itself, {env: NAME} or {file: PATH}")


def read_secret(source: SecretSource, *, folder: Path) -> str:
    """The secret's text; of a file, without the line end that an editor adds.

    Raises :class:`ValueError`, which names the variable or file and the cure, when there is none.
    """
    match source:
        case Written(text):
            return text
        case FromEnvironment(name):
            text = os.environ.get(name, "")
            if not text:
                raise ValueError(f"the environment variable {name} is not set; set it, or name another")
            return text
        case FromFile(path):
            return _read(folder / path)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(SECRET_BYTES_MAX + 1)
    except OSError as error:
        raise ValueError(f"the file {file} cannot be read: {error.strerror}") from None
    if len(content) > SECRET_BYTES_MAX:
        raise ValueError(f"the file {file} is larger than {SECRET_BYTES_MAX >> 10} KiB; name the right one")
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"the file {file} is not UTF-8 text") from None
    if not text:
        raise ValueError(f"the file {file} is empty; write the secret into it")
    return text
