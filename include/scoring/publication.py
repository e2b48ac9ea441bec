"""Publication of scores: a log of manifests for each interval, of which the newest is in force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.data.windows import Window
from include.storage.content import get_content, known_fields, put_content, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

PUBLISHED = "published"


@dataclass(frozen=True)
class Manifest:
    """What was published for one interval; ``scores`` is the digest of the Parquet file's bytes."""

    version: str
    after: str
    until: str
    rows: int
    outside: int
    """Rows outside the domain that the version was fitted on."""
    columns: dict[str, int]
    """How many rows each column puts outside."""
    scores: str
    snapshot: str
    """The rows that were predicted."""
    segments: dict[str, str] = field(default_factory=dict)
    """By name, the segments that a version of their own answered for, with that version; ``version`` answered for the others."""

    @property
    def interval(self) -> Window:
        """The interval that was predicted."""
        return Window.from_json({"after": self.after, "until": self.until})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        value = asdict(self)
        return value if self.segments else {name: fact for name, fact in value.items() if name != "segments"}


class Publication:
    """The scores of one interval of a model.

    A file is written first and its manifest last, so readers see all of a partition or nothing. Scores by another
    version, or of corrected rows, become a new manifest and a new file beside the old ones.
    """

    def __init__(self, store: ObjectStore, model: str, interval: Window) -> None:
        self.store = store
        self.interval = interval
        self.folder = f"{model}/scores/{name_of(interval)}"
        self._log = Log(store, f"{self.folder}/log")

    def manifests(self) -> tuple[Manifest, ...]:
        """Return all that was ever published, the one in force last; their chain is verified."""
        return tuple(_manifest(entry) for entry in self._log.read())

    def newest(self) -> Manifest | None:
        """Return the manifest in force."""
        manifests = self.manifests()
        return manifests[-1] if manifests else None

    def put(self, table: pa.Table) -> str:
        """Write a table and return the digest of its bytes: equal tables, written by one release of Arrow, are equal bytes."""
        sink = pa.BufferOutputStream()
        texts = [field.name for field in table.schema if pa.types.is_string(field.type)]
        pq.write_table(table, sink, compression="zstd", use_dictionary=texts, write_page_checksum=True)
        return put_content(self.store, self.folder, ".parquet", sink.getvalue().to_pybytes())

    def publish(self, manifest: Manifest, *, still_wanted: Callable[[], bool], at: datetime) -> bool:
        """Put a manifest in force, unless one of the same scores of the same rows is, or it is no longer wanted.

        The same scores may be of other rows: what an erasure left of them is of a snapshot whose rows are gone.

        Returns
        -------
        bool
            Whether it is in force now.
        """
        refused = False

        def unless_in_force(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            nonlocal refused
            refused = not still_wanted()
            known = _manifest(entries[-1]) if entries else None
            if refused or (known and (known.scores, known.snapshot) == (manifest.scores, manifest.snapshot)):
                return None
            return PUBLISHED, manifest.to_json()

        self._log.append(unless_in_force, at=to_iso(at))
        return not refused

    def read(self, manifest: Manifest) -> pa.Table:
        """Return the table of a manifest; raises `ObjectMissing`, `ObjectCorrupt` before anything is parsed."""
        body = get_content(self.store, self.folder, ".parquet", manifest.scores)
        return pq.read_table(pa.BufferReader(body), page_checksum_verification=True)


def name_of(interval: Window) -> str:
    """Return an interval's name in keys, ``20130601T000000Z-20130701T000000Z``."""
    return f"{interval.after:%Y%m%dT%H%M%SZ}-{interval.until:%Y%m%dT%H%M%SZ}"


def window_of(name: str) -> Window:
    """Return the interval that `name_of` named."""
    after, until = (datetime.strptime(one, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for one in name.split("-"))
    return Window(after, until)


def _manifest(entry: Entry) -> Manifest:
    return Manifest(**known_fields(Manifest, entry.body))
