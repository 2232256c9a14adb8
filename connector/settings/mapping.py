"""Which part of a record becomes which part of its event, in one small notation.

Each part of an event takes a word for its default, or one of ``{field: a.b}`` (a member of the value),
``{header: name}``, ``{record_name: true}`` (the Avro record's full name) and ``{map: {topic: type}}``.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field as SettingField
from pydantic import PlainValidator

from connector.avro.topic_format import DeleteEvent, Field, Header, RecordName, TombstonePolicy, TopicMap
from connector.declared.kinds import Declared

_FORMS = {
    Field: "{field: a.b}",
    Header: "{header: name}",
    RecordName: "{record_name: true}",
    TopicMap: "{map: {topic: type}}",
}

Taken = Field | Header | RecordName | TopicMap


def _pick(word: str, *kinds: type[Taken]) -> PlainValidator:
    """``word`` as ``None``, or what one of ``kinds`` is written as."""
    choices = ", ".join([word, *(_FORMS[kind] for kind in kinds)])

    def validate(declared: object) -> Taken | None:
        if declared is None or declared == word:
            return None
        taken = _taken(declared)
        if not isinstance(taken, kinds):
            raise ValueError(f"must be one of {choices}")
        return taken

    return PlainValidator(validate)


def _taken(declared: object) -> Taken | None:
    match declared:
        case Field() | Header() | RecordName() | TopicMap():
            return declared
        case {"field": str(path), **rest} if not rest and all(path.split(".")):
            return Field(tuple(path.split(".")))
        case {"header": str(name), **rest} if not rest and name:
            return Header(name)
        case {"record_name": True, **rest} if not rest:
            return RecordName()
        case {"map": dict(types), **rest} if not rest and all(
            isinstance(each, str) and each for each in types.values()
        ):
            return TopicMap({str(topic): event_type for topic, event_type in types.items()})
    return None


class MappingSettings(Declared):
    """The parts of an event; :class:`~connector.avro.topic_format.EventMapping` says what each default is."""

    type: Annotated[
        TopicMap | Header | RecordName | Field | None, _pick("topic", Field, Header, RecordName, TopicMap)
    ] = SettingField(default=None, description="The event's type. topic: the topic's name.")
    id: Annotated[Header | Field | None, _pick("derived", Field, Header)] = SettingField(
        default=None, description="The event's id. derived: from source name, topic, partition and offset."
    )
    time: Annotated[Field | None, _pick("record", Field)] = SettingField(
        default=None, description="When it happened. record: the record's own timestamp."
    )
    key: Annotated[Field | None, _pick("record", Field)] = SettingField(
        default=None, description="What belongs together. record: the record's key."
    )
    data: Annotated[Field | None, _pick("value", Field)] = SettingField(
        default=None, description="What partners get. value: the whole value."
    )
    subject: Annotated[Header | Field | None, _pick("none", Field, Header)] = SettingField(
        default=None, description="A CloudEvent's subject. none: it has none."
    )


def _tombstone_policy(declared: object) -> TombstonePolicy:
    match declared:
        case "skip" | "deliver" | DeleteEvent():
            return declared
        case {"delete_event": str(event_type), **rest} if event_type and not rest:
            return DeleteEvent(event_type)
    raise ValueError("must be one of skip, deliver, {delete_event: type}")


Tombstones = Annotated[TombstonePolicy, PlainValidator(_tombstone_policy)]
"""What a null value means: no event, an event whose data is null, or an event of a type of its own."""
