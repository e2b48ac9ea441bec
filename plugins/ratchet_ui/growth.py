"""What a model's store holds by kind, and how it grew, as a table and a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from include.config.model import ModelConfig
from include.evaluation.report.scales import Scale, Tick, path_through
from include.registry.history.charts import LEFT, RIGHT, TREND_BOTTOM, TREND_TOP, date_ticks
from include.retention.stored_bytes import Stored, StoredBytes, StoredBytesLog
from ratchet_ui.cache.page_cache import PageCache

UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


@dataclass(frozen=True)
class GrownKind:
    """One kind of objects.

    Attributes
    ----------
    now : Stored
        When it was counted last.
    grown : int
        By how many bytes, since it was counted first.
    path : str
        Its bytes over time in a box of 96 by 24; empty when they were counted once.
    """

    name: str
    now: Stored
    grown: int
    path: str


@dataclass(frozen=True)
class Growth:
    """The bytes of all kinds over time as a line, in a box of 960 by 250, with the kinds of the last count, the largest first."""

    kinds: tuple[GrownKind, ...]
    first: StoredBytes
    last: StoredBytes
    line: str
    area: str
    marks: tuple[tuple[float, float, StoredBytes], ...]
    ticks: tuple[Tick, ...]
    levels: tuple[Tick, ...]


def stored_growth(cache: PageCache, model: ModelConfig) -> Growth | None:
    """Draw what was counted of a model's store; None before the first run that tidied it.

    Parameters
    ----------
    cache : PageCache
    model : ModelConfig
    """
    return growth_of(cache.read_log(StoredBytesLog, model.name, StoredBytesLog.read))


def growth_of(counted: Sequence[StoredBytes]) -> Growth | None:
    """Draw what was counted; None if nothing was.

    Parameters
    ----------
    counted : sequence of StoredBytes
        In any order.
    """
    if not counted:
        return None
    in_order = sorted(counted, key=lambda one: one.at)
    first, last = in_order[0], in_order[-1]
    x = Scale(first.at.timestamp(), last.at.timestamp(), LEFT, RIGHT)
    largest = max(one.all.size for one in in_order)
    unit, size = _unit_of(largest)
    y = Scale(0.0, largest / size * 1.08 or 1.0, TREND_BOTTOM, TREND_TOP)
    marks = tuple((x(one.at.timestamp()), y(one.all.size / size), one) for one in in_order)
    line = path_through((at, height) for at, height, _ in marks) if len(marks) > 1 else ""
    names = dict.fromkeys(name for one in in_order for name in one.kinds)
    kinds = [_kind(name, in_order) for name in names]
    return Growth(
        tuple(sorted(kinds, key=lambda one: -one.now.size)),
        first,
        last,
        line,
        line and f"{line} L{marks[-1][0]},{TREND_BOTTOM} L{marks[0][0]},{TREND_BOTTOM}Z",
        marks,
        tuple(date_ticks(x, first.at, last.at)),
        tuple(Tick(one.at, f"{one.label} {unit}") for one in y.ticks(4)),
    )


def bytes_for_people(size: int) -> str:
    """Return a number of bytes in the unit that suits it.

    Parameters
    ----------
    size : int
        Less than zero for what is gone.
    """
    unit, of = _unit_of(abs(size))
    return f"{size / of:,.1f} {unit}" if of > 1 else f"{size:,} bytes"


def _unit_of(size: int) -> tuple[str, float]:
    return next((found for found in UNITS if size >= found[1]), ("bytes", 1.0))


def _kind(name: str, in_order: Sequence[StoredBytes]) -> GrownKind:
    sizes = [one.kinds.get(name, Stored()).size for one in in_order]
    x, y = Scale(in_order[0].at.timestamp(), in_order[-1].at.timestamp(), 2, 94), Scale(0, max(sizes), 21, 3)
    points = [(x(one.at.timestamp()), y(size)) for one, size in zip(in_order, sizes, strict=True)]
    path = path_through(points) if len(points) > 1 else ""
    return GrownKind(name, in_order[-1].kinds.get(name, Stored()), sizes[-1] - sizes[0], path)
