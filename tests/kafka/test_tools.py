"""What Kafka's own tools are told: the brokers always, a file of properties where a cluster asks for more."""

from __future__ import annotations

import pytest

from connector.kafka.access import Access, Property
from connector.kafka.tools import tool_login, tool_options

CA = "/etc/ca.pem"


def access(**properties: Property) -> Access:
    given = {name.replace("_", "."): value for name, value in properties.items()}
    return Access(bootstrap_servers="b:9092", properties=given)


@pytest.mark.parametrize("given", [{}, {"security_protocol": "plaintext"}, {"client_rack": "a"}])
def test_a_cluster_that_asks_for_nothing_needs_no_file(given: dict[str, Property]) -> None:
    assert tool_options(access(**given)) == "--bootstrap-server b:9092"
    assert tool_login([access(**given)], [f"kafka-topics.sh {tool_options(access(**given))} --list"]) == ""


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (
            {"security_protocol": "sasl_ssl", "sasl_mechanism": "SCRAM-SHA-512", "ssl_ca_location": CA},
            [
                "security.protocol=SASL_SSL",
                "sasl.mechanism=SCRAM-SHA-512",
                "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
                'username="<user>" password="<password>";',
                "ssl.truststore.type=PEM",
                "ssl.truststore.location=/etc/ca.pem",
            ],
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanisms": "PLAIN", "ssl_ca_location": CA},
            [
                "security.protocol=SASL_PLAINTEXT",
                "sasl.mechanism=PLAIN",
                "sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required "
                'username="<user>" password="<password>";',
            ],
        ),
        (
            {"security_protocol": "SASL_PLAINTEXT"},
            [
                "security.protocol=SASL_PLAINTEXT",
                "sasl.mechanism=GSSAPI",
                "sasl.jaas.config=<the login module of GSSAPI, and what it asks for>",
            ],
        ),
        (
            {
                "security_protocol": "SSL",
                "ssl_key_pem": "hush",
                "ssl_endpoint_identification_algorithm": "none",
            },
            [
                "security.protocol=SSL",
                "ssl.keystore.type=PEM",
                "ssl.keystore.location=<a file with key and certificate>",
                "ssl.endpoint.identification.algorithm=",
            ],
        ),
    ],
)
def test_what_belongs_into_the_file_follows_from_our_own_properties(
    given: dict[str, Property], lines: list[str]
) -> None:
    secured = access(sasl_username="user-7", sasl_password="hush", **given)

    options = tool_options(secured)
    login = tool_login([secured], [f"kafka-topics.sh {options} --list"])

    assert options == "--bootstrap-server b:9092 --command-config client.properties"
    head = "client.properties lets a user who may do this in at b:9092:"
    assert login.splitlines() == [head, *(f"  {line}" for line in lines)]


def test_each_cluster_whose_commands_are_named_is_told_of_once() -> None:
    first = access(security_protocol="SSL")
    second = Access(bootstrap_servers="c:9092", properties={"security.protocol": "SSL"})
    third = Access(bootstrap_servers="d:9092", properties={"security.protocol": "SSL"})
    commands = [f"kafka-topics.sh {tool_options(each)} --list" for each in (first, first, second)]

    login = tool_login([first, first, second, third], commands)

    assert login.splitlines() == [
        "client.properties lets a user who may do this in at b:9092:",
        "  security.protocol=SSL",
        "client.properties lets a user who may do this in at c:9092:",
        "  security.protocol=SSL",
    ]
