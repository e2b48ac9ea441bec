"""The interface of a source reader: the request that it gets, and the batches that it yields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa

from include.config.sections.data import Data
from include.config.sections.rows.sources import SourceSection
from include.data.slots import bounds
from include.data.sources.connections import Connections

Kind = TypeVar("Kind", bound=SourceSection)

_NEAR = timedelta(days=1)
"""No clock change moves local times further than this."""
_NONE = timedelta(0)


@dataclass(frozen=True)
class ReadRequest(Generic[Kind]):
    """Which rows to read.

    Attributes
    ----------
    data : Data
        The declaration.
    source : SourceSection
        Its source, of the kind that the reader is for.
    folder : Path
        The model's folder.
    slots : sequence of str
        The partitions whose rows are wanted, ascending. Rows of other partitions may come as well and are left out later.
    connections : Connections
        Clients of the outside world, by Airflow connection.
    """

    data: Data
    source: Kind
    folder: Path
    slots: Sequence[str]
    connections: Connections

    @property
    def ranges(self) -> list[tuple[datetime, datetime]] | None:
        """The instants that the slots cover, neighbours joined; None for a table without time, which is read as a whole."""
        if self.data.timeless:
            return None
        ranges: list[tuple[datetime, datetime]] = []
        for start, end in map(bounds, self.slots):
            if ranges and ranges[-1][1] == start:
                ranges[-1] = (ranges[-1][0], end)
            else:
                ranges.append((start, end))
        return ranges

    @property
    def local_ranges(self) -> list[tuple[datetime, datetime]] | None:
        """The same as times without a zone in ``data.timezone``, for sources that keep those.

        Near a clock change they are wider by it: a time that clocks show twice or never may mean either side.
        """
        zone = ZoneInfo(self.data.timezone)
        ranges = self.ranges
        if ranges is None:
            return None

        def shown(at: datetime, which: Callable[[list[timedelta]], timedelta]) -> datetime:
            near = (one.astimezone(zone) for one in (at - _NEAR, at, at + _NEAR))
            shown: datetime = at.astimezone(UTC).replace(tzinfo=None) + which(
                [one.utcoffset() or _NONE for one in near]
            )
            return shown

        return [(shown(start, min), shown(end, max)) for start, end in ranges]


class SourceBatch(NamedTuple):
    """Some rows of a source."""

    table: pa.Table
    where: str
    """Where they are from, for messages."""
    period: tuple[datetime, datetime] | None = None
    """The event times, from and until before, that the place promises: that of a file with a date in its name."""


Reader = Callable[[ReadRequest[Any]], Iterator[SourceBatch]]
"""The function ``read`` of a module, here or in `lake`, that has the name of its kind of source: `files`, `sql`, `python`."""
