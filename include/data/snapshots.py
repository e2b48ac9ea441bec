"""Snapshots: each names the exact partition contents that a run uses, and its digest identifies the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from include.config.sections.rows.joins import JoinRule
from include.config.sections.rows.segments import owner_of
from include.data.slots import bounds
from include.data.windows import Split, Window
from include.storage.content import digest_json, from_iso, get_content, put_json, read_json, to_iso
from include.storage.store import ObjectStore

DUPLICATES = "(duplicates)"
"""The key under which duplicate rows are counted, beside the names of columns."""


@dataclass(frozen=True)
class Pinned:
    """One partition as a run sees it."""

    slot: str
    content: str
    """Digest of the rows, not of the file; names the object."""
    file: str
    """Digest of the stored bytes."""
    rows: int
    rectified: tuple[tuple[str, int], ...] = ()
    """How many texts of which columns were corrected as the rows were read, and how many `DUPLICATES` were dropped."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON; without corrections it has the form of earlier releases, so that digests stay."""
        counts = {"rectified": dict(self.rectified)} if self.rectified else {}
        return {"slot": self.slot, "content": self.content, "file": self.file, "rows": self.rows, **counts}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Pinned:
        """Read what `to_json` wrote."""
        return cls(**{**value, "rectified": tuple(sorted(value.get("rectified", {}).items()))})


@dataclass(frozen=True)
class Segment:
    """The rows of one level of a column."""

    column: str
    level: str | int | bool

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"column": self.column, "level": self.level}


@dataclass(frozen=True)
class Snapshot:
    """What a run sees of its source.

    Attributes
    ----------
    source : str
        Digest of everything that says how rows are read; partitions are kept under its first twelve characters.
    schema : dict
        The type of every column, in the words of model.yaml; those that joins add among them.
    excluded : str or None
        Digest of the quarantine file: a Parquet file with the columns ``slot`` and ``position`` of rows set aside.
    joins : tuple of PinnedJoin
        The second sources, with the columns that they add.
    segment : Segment or None
        Of the partitions' rows only those of this segment. They are kept where the model of all rows keeps them.
    """

    model: str
    as_of: datetime
    source: str
    split: Split
    partitions: tuple[Pinned, ...]
    schema: dict[str, str]
    excluded: str | None = None
    joins: tuple[PinnedJoin, ...] = ()
    segment: Segment | None = None

    @cached_property
    def digest(self) -> str:
        """The digest of the canonical JSON."""
        return digest_json(self.to_json())

    @property
    def own_schema(self) -> dict[str, str]:
        """The types of the columns that the partitions hold: those that no join adds."""
        added = {name for join in self.joins for name, _, _, _ in join.rule.made()}
        return {name: kind for name, kind in self.schema.items() if name not in added}

    @property
    def sources(self) -> tuple[Snapshot, ...]:
        """What is pinned of each source: the model's own, then those that are joined."""
        return (self, *(join.rows for join in self.joins))

    def without(self, excluded: str) -> Snapshot:
        """Return the snapshot with the rows of a quarantine file set aside."""
        return replace(self, excluded=excluded)

    def of_segment(self, model: str, segment: Segment) -> Snapshot:
        """Return the snapshot of the same partitions that a segment's model sees."""
        return replace(self, model=model, segment=segment)

    def partition_key(self, pinned: Pinned) -> str:
        """Return where the store keeps a partition."""
        return f"{partitions_folder(self.model, self.source)}/{pinned.slot}/{pinned.content}.parquet"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "model": self.model,
            "as_of": to_iso(self.as_of),
            "source": self.source,
            "split": self.split.to_json(),
            "partitions": [pinned.to_json() for pinned in self.partitions],
            "schema": dict(self.schema),
            "excluded": self.excluded,
            # Without joins nothing, as before there were any: digests stay.
            **({"joins": [join.to_json() for join in self.joins]} if self.joins else {}),
            **({"segment": self.segment.to_json()} if self.segment else {}),
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Snapshot:
        """Read what `to_json` wrote."""
        segment = value.get("segment")
        return cls(
            **{
                **value,
                "segment": None if segment is None else Segment(**segment),
                "as_of": from_iso(value["as_of"]),
                "split": Split.from_json(value["split"]),
                "partitions": tuple(Pinned.from_json(pinned) for pinned in value["partitions"]),
                "joins": tuple(PinnedJoin.from_json(one) for one in value.get("joins", ())),
            }
        )

    def save(self, store: ObjectStore) -> str:
        """Put the snapshot under its digest, which is returned."""
        put_json(store, _key(self.model, self.digest), self.to_json())
        return self.digest

    @classmethod
    def load(cls, store: ObjectStore, model: str, digest: str) -> Snapshot:
        """Return the snapshot named ``digest``; raises `ObjectMissing`, `ObjectCorrupt`."""
        return cls.from_json(read_json(get_content(store, f"{model}/snapshots", ".json", digest)))


@dataclass(frozen=True)
class PinnedJoin:
    """A second source as a run sees it.

    Attributes
    ----------
    rule : JoinRule
        Which of its rows are joined, and what is taken from them.
    rows : Snapshot
        Its partitions and their schema; the holdout is all the time that partners may lie in.
    """

    rule: JoinRule
    rows: Snapshot

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {"rule": self.rule.said(), "rows": self.rows.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> PinnedJoin:
        """Read what `to_json` wrote."""
        return cls(JoinRule.model_validate(value["rule"], extra="ignore"), Snapshot.from_json(value["rows"]))


def partitions_folder(model: str, source: str) -> str:
    """Return where the store keeps the partitions of a source."""
    return f"{owner_of(model)}/partitions/{source[:12]}"


def quarantine_folder(model: str) -> str:
    """Return where the store keeps which rows are set aside."""
    return f"{owner_of(model)}/quarantine"


def _key(model: str, digest: str) -> str:
    return f"{model}/snapshots/{digest}.json"


@dataclass(frozen=True)
class Coverage:
    """How much of one window the pinned partitions fill."""

    slots: int
    empty: tuple[str, ...]
    """Slots without a row, ascending."""
    rows: int
    """Rows of all partitions that touch the window, an upper bound of the window's own."""
    begins_before_data: bool
    """Whether the window's oldest slots are without a row: the window is longer than the data."""


def coverage(snapshot: Snapshot, window: Window) -> Coverage:
    """Return the facts about one window of a snapshot."""
    touching = [
        p for p in snapshot.partitions if bounds(p.slot)[0] <= window.until and bounds(p.slot)[1] > window.after
    ]
    # A partition that begins as the window ends has at most the rows of that instant, and may be missing.
    inside = [p for p in touching if bounds(p.slot)[0] < window.until]
    return Coverage(
        slots=len(inside),
        empty=tuple(p.slot for p in inside if not p.rows),
        rows=sum(p.rows for p in touching),
        begins_before_data=bool(inside) and not inside[0].rows,
    )
