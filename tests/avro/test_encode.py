from __future__ import annotations

from connector.avro.encode import encoder, framed

SCHEMA = """
{"type": "record", "name": "User", "fields": [
    {"name": "id", "type": "string"}, {"name": "email", "type": ["null", "string"]}
]}
"""


def test_a_value_becomes_its_bare_avro_body() -> None:
    assert encoder(SCHEMA)({"id": "u1", "email": None}) == b"\x04u1\x00"


def test_a_frame_is_zero_and_the_id_before_the_body() -> None:
    assert framed(258, b"\x04u1\x00") == b"\x00\x00\x00\x01\x02\x04u1\x00"
