"""Kafka's own command-line tools, which the connector names as cures: how they reach the same cluster.

They are told the brokers and, where a cluster asks who is there, a file of client properties in the words of
the Java client. What belongs into it is derived from ours, with places for the secrets left open: whoever
may make the change has secrets of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.kafka.access import Access

_FILE = "client.properties"

_LOGIN_MODULES = {
    "PLAIN": "plain.PlainLoginModule",
    "SCRAM-SHA-256": "scram.ScramLoginModule",
    "SCRAM-SHA-512": "scram.ScramLoginModule",
}


def tool_options(access: Access) -> str:
    """What every tool is told to reach the cluster."""
    login = f" --command-config {_FILE}" if _protocol(access) else ""
    return f"--bootstrap-server {access.bootstrap_servers}{login}"


def tool_login(accesses: Iterable[Access], commands: Iterable[str]) -> str:
    """What belongs into the file that ``commands`` name, for each cluster they are for; empty when they name
    none. Holds no secret."""
    told: dict[str, None] = {}
    named = list(commands)
    for access in accesses:
        options = tool_options(access)
        if _protocol(access) and any(options in command for command in named):
            head = f"{_FILE} lets a user who may do this in at {access.bootstrap_servers}:"
            told["\n  ".join((head, *_lines(access)))] = None
    return "\n".join(told)


def _protocol(access: Access) -> str:
    """As the Java client writes it; empty when the cluster lets everyone in without encryption."""
    protocol = str(access.properties.get("security.protocol", "")).upper()
    return "" if protocol == "PLAINTEXT" else protocol


def _lines(access: Access) -> Iterator[str]:
    given, protocol = access.properties, _protocol(access)
    yield f"security.protocol={protocol}"
    if protocol.startswith("SASL"):
        mechanism = str(given.get("sasl.mechanism") or given.get("sasl.mechanisms") or "GSSAPI")
        yield f"sasl.mechanism={mechanism}"
        module = _LOGIN_MODULES.get(mechanism)
        if module is None:
            yield f"sasl.jaas.config=<the login module of {mechanism}, and what it asks for>"
        else:
            yield (
                f"sasl.jaas.config=org.apache.kafka.common.security.{module} required "
                'username="<user>" password="<password>";'
            )
    if protocol.endswith("SSL"):
        if "ssl.ca.location" in given:
            yield "ssl.truststore.type=PEM"
            yield f"ssl.truststore.location={given['ssl.ca.location']}"
        if any(name.startswith(("ssl.certificate.", "ssl.key.", "ssl.keystore.")) for name in given):
            yield "ssl.keystore.type=PEM"
            yield "ssl.keystore.location=<a file with key and certificate>"
        if given.get("ssl.endpoint.identification.algorithm") == "none":
            yield "ssl.endpoint.identification.algorithm="
