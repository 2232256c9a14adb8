"""The source intake: a record becomes an event, an event becomes deliveries.

Every record leaves by one of five doors: deliveries (one per lane that wants the event), *filtered* (no
subscription wants it), *skipped* (its topic's policy gives it no event), *poison* (a dead letter, for
it can never become an event), or *done before* (the done-set says so). There is no sixth.
"""

from __future__ import annotations

from typing import assert_never

from connector.core.accounts import Accounts
from connector.core.event import Decoded, Event, NeedsSchema, Poison, Skipped
from connector.core.ledger import Regressed, Ticket
from connector.core.operator_event import OPERATOR_PREFIX, reserved_fault
from connector.core.record import Record
from connector.engine.delivery import Delivery
from connector.engine.departures import Departures
from connector.engine.dispatcher import Dispatcher
from connector.engine.flow import Flow
from connector.engine.intake import TAKEN, Held, NotDue, Taken
from connector.engine.lanes import Lanes
from connector.engine.ports import Clock, Decoder, SchemaAnswer, SchemaReady, SchemaUnknown, SchemaUnreachable
from connector.engine.schemas import SchemaWait
from connector.engine.settlement import Settlement

UNKNOWN_SCHEMA_GRACE_MS = 5 * 60_000
"""How long after its own timestamp a record waits for a schema id that the registry does not know:
the producer may have registered it on a node that has not told the others yet."""


class EventIntake:
    """Implements :class:`~connector.engine.intake.Intake` for source topics.

    ``poison_run_max``: so many poison records in a row hold their partition, since a whole topic of
    poison is a wrong format in the settings and not a thousand bad records. ``operator_topic`` alone may
    give events of the connector's own types.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        schemas: SchemaWait,
        lanes: Lanes,
        dispatcher: Dispatcher,
        departures: Departures,
        settlement: Settlement,
        accounts: Accounts,
        clock: Clock,
        poison_run_max: int,
        operator_topic: str,
    ) -> None:
        self._decode = decoder.decode
        self._schemas = schemas
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._departures = departures
        self._settlement = settlement
        self._accounts = accounts
        self._clock = clock
        self._poison_run_max = poison_run_max
        self._operator_topic = operator_topic

    def take(self, flow: Flow, record: Record) -> Taken | NotDue | Held:
        if flow.poison_run >= self._poison_run_max:
            return Held(
                f"{flow.poison_run} poison records in a row: the topic's format in the settings is likely "
                "wrong. Mend it and restart; if the records really are broken, a restart lets as many "
                "more pass to the dead letters."
            )
        self._accounts.records_read += 1
        ticket = flow.ledger.admit(record)
        if ticket is None:
            self._accounts.records_already_done += 1
            self._accounts.records_settled += 1
        elif isinstance(ticket, Regressed):
            # The source gives a new epoch when a log was cut; within one it is our own re-assignment
            # that reads a record again, and the first reading owns it.
            self._accounts.records_regressed += 1
            self._accounts.records_settled += 1
        else:
            self._become(flow, ticket, record, self._decode(record))
        return TAKEN

    def _become(self, flow: Flow, ticket: Ticket, record: Record, decoded: Decoded) -> None:
        match decoded:
            case Event():
                if decoded.type.startswith(OPERATOR_PREFIX) and record.topic != self._operator_topic:
                    forged = Poison("unmapped", reserved_fault(decoded.type))
                    self._become(flow, ticket, record, forged)
                    return
                flow.poison_run = 0
                self._spread(ticket, record, decoded)
            case NeedsSchema(ref):
                # A timestamp that lies in the future must not make the grace longer.
                since_ms = min(max(record.timestamp_ms, 0), self._clock.now_ms())
                self._schemas.wait(
                    ref,
                    until_ms=since_ms + UNKNOWN_SCHEMA_GRACE_MS,
                    is_patient=True,
                    ticket=ticket,
                    done=lambda answer: self._answered(flow, ticket, record, answer),
                )
            case Poison():
                flow.poison_run += 1
                self._departures.bury_record(ticket, record, decoded)
            case Skipped():
                flow.poison_run = 0
                self._accounts.records_skipped += 1
                self._settlement.settle_record(ticket)
            case _:
                assert_never(decoded)

    def _spread(self, ticket: Ticket, record: Record, event: Event) -> None:
        lanes = self._lanes.matching(event.type)
        if not lanes:
            self._accounts.records_filtered += 1
            self._settlement.settle_record(ticket)
            return
        ticket.owing = len(lanes)  # all of them before the first: none may settle the record early
        take = self._dispatcher.take
        for lane in lanes:
            take(Delivery(ticket, record, event, lane))

    def _answered(self, flow: Flow, ticket: Ticket, record: Record, answer: SchemaAnswer) -> None:
        if flow.is_draining or not ticket.ledger.is_live:
            return  # its next owner reads it again
        match answer:
            case SchemaReady():
                decoded = self._decode(record)
            case SchemaUnknown(detail):
                decoded = Poison("unknown-schema", detail)
            case SchemaUnreachable():
                raise AssertionError("a patient record is not told that the registry is unreachable")
            case _:
                assert_never(answer)
        self._become(flow, ticket, record, decoded)
