"""The parts of the live picture, each as lines of a given width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from connector.core.units import format_duration_ms
from connector.demo.equations import Equation
from connector.demo.picture import OffsetRow, PartnerRow, Picture
from connector.demo.view.bars import filled, lane, spark, stacked

FLOWS, GOOD, WAITS, BAD, ASIDE = "cyan", "green", "yellow", "red", "blue"

_NAME_CELLS = 19
_MANNER_CELLS = 15
_ROOMY_CELLS = 100
"""From here on columns may be as wide as their full names."""

Lines = list[Text]


def head(picture: Picture, width: int) -> Lines:
    clock = f"{picture.phase}  {picture.elapsed_s:4.0f} s of at most {picture.end_within_s:.0f}"
    return [
        _spread(Text("webhook-connector demo", "bold"), Text(clock, FLOWS), width),
        Text(f"on {picture.cluster}", "dim"),
        Text(picture.terms, "dim"),
    ]


def flow(picture: Picture, width: int) -> Lines:
    """From the topics through the connector to the endpoints."""
    shares = (width * 26 // 100, width * 40 // 100, width * 34 // 100)
    titles = [f"{picture.topics} domain topics", "connector", f"{len(picture.partners)} endpoints"]
    numbers = [
        f"{picture.written:,} of {picture.to_write:,} written",
        f"{picture.consumed:,} consumed",
        f"{picture.accepted:,} accepted",
    ]
    asides = [
        "",
        f"{picture.filtered} unwanted, {picture.skipped} null, {picture.poison} poison",
        f"median ≤ {picture.latency_ms} ms" if picture.latency_ms else "",
    ]
    title, count, graph, aside = Text(), Text(), Text(), Text()
    for name, number, more, cells in zip(titles, numbers, asides, shares, strict=True):
        arrow = "▶ ".rjust(cells - len(name) - 1, "═") if name is not titles[-1] else ""
        title.append(f"{name} ", "bold").append(arrow, "dim")
        count.append(number.ljust(cells))
        aside.append(more.ljust(cells), "dim")
    graph.append_text(filled(picture.written, picture.to_write, shares[0] - 2, style=FLOWS)).append("  ")
    for rates, cells in zip((picture.consumed_per_s, picture.accepted_per_s), shares[1:], strict=True):
        line = spark(rates, cells - 10, style=FLOWS).append(f" {rates[-1] if rates else 0}/s")
        graph.append_text(line).append(" " * (cells - line.cell_len))
    return [title, count, graph, aside]


def endpoints(picture: Picture, width: int) -> Lines:
    is_roomy = width >= _ROOMY_CELLS
    columns = ("accepted", "failures", "in retry", "dead", "parked")
    if not is_roomy:
        columns = ("ok", "failed", "retry", "dead", "parked")
    number_cells = 9 if is_roomy else 7
    bar_cells = max(8, width - _NAME_CELLS - _MANNER_CELLS - len(columns) * number_cells)
    title = Text("ENDPOINT".ljust(_NAME_CELLS) + "BEHAVES".ljust(_MANNER_CELLS), "dim")
    title.append(" " * bar_cells)
    for name in columns:
        title.append(name.rjust(number_cells), "dim")
    return [title, *(_endpoint(row, bar_cells, number_cells) for row in picture.partners)]


def _endpoint(row: PartnerRow, bar_cells: int, number_cells: int) -> Text:
    parts = [
        (row.accepted, "█", GOOD),
        (row.parked, "▒", ASIDE),
        (row.dead, "▓", BAD),
        (row.waiting, "▚", WAITS),
        (row.in_hand, "░", "dim"),
    ]
    line = Text(row.id.ljust(_NAME_CELLS)).append(row.manner.ljust(_MANNER_CELLS), "dim")
    line.append_text(stacked(parts, bar_cells))
    for count, style in (
        (row.accepted, GOOD),
        (row.failed, WAITS),
        (row.waiting, WAITS),
        (row.dead, BAD),
        (row.parked, ASIDE),
    ):
        line.append(f"{count:,}".rjust(number_cells), style if count else "dim")
    return line


def tiers(picture: Picture, width: int) -> Lines:
    """Each tier as a lane: a delivery enters at the left and is tried again at the right."""
    lane_cells = max(10, width - 30)
    title = Text("RETRY TIER".ljust(12) + "written ▸ tried again".ljust(lane_cells + 1), "dim")
    lines = [title.append("waiting".rjust(8) + "so far".rjust(8), "dim")]
    for row in picture.tiers:
        line = Text(f"  {format_duration_ms(row.tier_ms)}".ljust(12))
        line.append_text(lane(row.on_the_way, lane_cells, style=WAITS)).append(" ")
        line.append(f"{len(row.on_the_way):,}".rjust(8), WAITS if row.on_the_way else "dim")
        lines.append(line.append(f"{row.total:,}".rjust(8), "dim"))
    return lines


def dead_letters(picture: Picture, width: int, *, recent_max: int) -> Lines:
    title = Text("DEAD LETTERS ", "dim")
    for reason, count in sorted(picture.dead.items()):
        title.append(f" {reason} ").append(f"{count:,}", BAD).append(" ")
    if not picture.dead:
        title.append(" none yet", "dim")
    lines = [title]
    for letter in picture.last_dead[-recent_max:] if recent_max else ():
        after = f", {letter.attempts} tries" if letter.attempts else ""
        line = Text("  ").append(letter.reason, BAD).append(f" {letter.partner or letter.source}{after}: ")
        lines.append(cut(line.append(letter.why, "dim"), width))
    return lines + [Text()] * (recent_max + 1 - len(lines))


def offsets(picture: Picture, width: int) -> Lines:
    """By domain, what is committed of what is there."""
    bar_cells = max(8, width - 28)
    lines = [Text("OFFSETS COMMITTED".ljust(width - 12) + "of written".rjust(11), "dim")]
    return lines + [_offset(row, bar_cells) for row in picture.offsets]


def offsets_in_one(picture: Picture, width: int) -> Lines:
    """The same in one line, where there is no room for more."""
    whole = OffsetRow(domain="OFFSETS COMMITTED", committed=picture.committed, written=picture.logged)
    line = Text("OFFSETS COMMITTED  ", "dim")
    line.append_text(filled(whole.committed, whole.written, max(8, width - 36), style=GOOD))
    return [line.append(f" {whole.committed:,}/{whole.written:,}")]


def _offset(row: OffsetRow, bar_cells: int) -> Text:
    line = Text(f"  {row.domain}".ljust(16)).append_text(
        filled(row.committed, row.written, bar_cells, style=GOOD)
    )
    return line.append(f"{row.committed:,}/{row.written:,}".rjust(11))


def equations(picture: Picture, width: int) -> Lines:
    is_roomy = width >= _ROOMY_CELLS
    return [_equation(each, is_roomy=is_roomy) for each in (picture.records, picture.deliveries)]


def _equation(equation: Equation, *, is_roomy: bool) -> Text:
    mark = Text(" ✓ ", GOOD) if equation.holds else Text(" ✗ ", f"bold {BAD}")
    if is_roomy:
        mark.append(equation.name.ljust(11), "dim")
    return mark.append(equation.text(with_zeros=False), "default")


# ── putting together ────────────────────────────────────────────────────────────────────────────


def beside(left: Lines, right: Lines, left_cells: int, gap_cells: int) -> Lines:
    """Two columns; the left one is padded to ``left_cells``."""
    lines = []
    for number in range(max(len(left), len(right))):
        line = left[number].copy() if number < len(left) else Text()
        line.truncate(left_cells, pad=True)
        line.append(" " * gap_cells)
        lines.append(line.append_text(right[number]) if number < len(right) else line)
    return lines


def stack(blocks: Sequence[Lines], height: int) -> Lines:
    """All blocks one below the other, with an empty line between them as far as ``height`` allows, the last
    block at the bottom in any case."""
    spare = height - sum(len(block) for block in blocks)
    if spare < 0:
        above = [line for block in blocks[:-1] for line in block]
        return above[: max(0, height - len(blocks[-1]))] + blocks[-1]
    lines: Lines = []
    for number, block in enumerate(blocks):
        if number and spare:
            lines.append(Text())
            spare -= 1
        lines += block
    return lines


def _spread(left: Text, right: Text, width: int) -> Text:
    left.append(" " * max(1, width - left.cell_len - right.cell_len))
    return left.append_text(right)


def cut(line: Text, width: int) -> Text:
    """``line``, ended by an ellipsis where it is longer than ``width``."""
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line
