"""Where the schema registry is and how to be let in."""

from __future__ import annotations

from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, FilePath, SecretStr, model_validator

from connector.declared.explain import FaultAt
from connector.declared.kinds import Declared, Milliseconds
from connector.settings.lists import Commas
from connector.settings.secret import SecretText


def _is_registry_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL such as https://registry.example:8081")
    if "@" in parts.netloc:
        raise ValueError("holds a user name; give it as username and password instead")
    return url


class RegistrySettings(Declared):
    urls: Annotated[tuple[Annotated[str, AfterValidator(_is_registry_url)], ...], Commas] = Field(
        min_length=1,
        max_length=10,
        description="Base URLs of one registry (Confluent's API), tried in order, beginning with the one "
        "that answered last.",
    )
    username: str = Field(default="", description="For basic authentication.")
    password: SecretText = Field(default=SecretStr(""), description="For basic authentication.")
    bearer_token: SecretText = Field(default=SecretStr(""), description="Instead of username and password.")
    ca_file: FilePath | None = Field(
        default=None,
        description="Authorities to trust instead of the system's.",
    )
    client_certificate_file: FilePath | None = Field(default=None, description="For mutual TLS, as PEM.")
    client_key_file: FilePath | None = Field(default=None, description="The key of that certificate, as PEM.")
    timeout_ms: Milliseconds = Field(
        default=5_000,
        ge=100,
        le=60_000,
        description="Of each request, from connecting to the last byte, in ms. A healthy registry answers in "
        "milliseconds; 5 s ride out a garbage collection, and past them the next URL may do better.",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        has_password = bool(self.password.get_secret_value())
        if bool(self.username) != has_password:
            raise FaultAt(("username",), "username and password go together; give both or neither")
        if self.username and self.bearer_token.get_secret_value():
            raise FaultAt(("bearer_token",), "give a bearer token or a user name, not both")
        if (self.client_certificate_file is None) != (self.client_key_file is None):
            text = "client_certificate_file and client_key_file go together; give both or neither"
            raise FaultAt(("client_certificate_file",), text)
        return self
