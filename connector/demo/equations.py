"""The two equations that hold at every moment, with their numbers."""

from __future__ import annotations

from dataclasses import dataclass

from connector.core.accounts import Accounts, InHand


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """``left`` = the sum of ``terms``, each a number and what it counts."""

    name: str
    left: tuple[int, str]
    terms: tuple[tuple[int, str], ...]

    @property
    def sum(self) -> int:
        return sum(count for count, _ in self.terms)

    @property
    def holds(self) -> bool:
        return self.left[0] == self.sum

    def text(self, *, with_zeros: bool) -> str:
        """On one line, as ``1812 read = 1810 settled + 2 in hand``."""
        shown = [f"{count} {what}" for count, what in self.terms if count or with_zeros]
        return f"{self.left[0]} {self.left[1]} = {' + '.join(shown) or '0'}"


def records_equation(accounts: Accounts, in_hand: InHand) -> Equation:
    return Equation(
        name="records",
        left=(accounts.records_read, "read"),
        terms=(
            (accounts.records_settled, "settled"),
            (accounts.records_released, "released"),
            (in_hand.records, "in hand"),
        ),
    )


def deliveries_equation(accounts: Accounts, in_hand: InHand) -> Equation:
    return Equation(
        name="deliveries",
        left=(accounts.deliveries_taken, "taken"),
        terms=(
            (accounts.accepted, "accepted"),
            (accounts.to_tiers.total(), "to tiers"),
            (accounts.parked, "parked"),
            (accounts.dead.total(), "dead"),
            (accounts.dropped_copies, "dropped copies"),
            (accounts.deliveries_released, "released"),
            (in_hand.deliveries, "in hand"),
        ),
    )
