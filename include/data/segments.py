"""Find the segments of a run: levels of a column with enough rows to train on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.model import ModelConfig
from include.config.sections.rows.segments import Segments, segment_key, segment_name
from include.data.frames import read_table
from include.data.snapshots import Segment, Snapshot
from include.errors import ConfigError, RegistryError, did_you_mean
from include.storage.content import digest_json, known_fields, to_iso
from include.storage.store import ObjectStore

_KINDS = ("string", "integer", "boolean")


@dataclass(frozen=True)
class Level:
    """A level of the column, with its labelled rows in the training window."""

    level: str | int | bool
    rows: int

    @property
    def name(self) -> str:
        """Its name in keys."""
        return segment_name(self.level)


@dataclass(frozen=True)
class SegmentList:
    """The segments of one run.

    Attributes
    ----------
    as_of : str
        Of the run.
    of : str
        Digest of the snapshot and of the declaration that they follow from.
    column : str
    levels : tuple of Level
        The segments, by name.
    rare, rare_rows : int
        How many levels have too few rows, and how many rows those have together.
    missing : int
        Rows without a value.
    """

    as_of: str
    of: str
    column: str
    levels: tuple[Level, ...]
    rare: int
    rare_rows: int
    missing: int

    def __getitem__(self, name: str) -> Level:
        for one in self.levels:
            if one.name == name:
                return one
        raise RegistryError(
            f"There is no segment {name} in this run.",
            expected=", ".join(one.name for one in self.levels) or "no segment",
            found=name,
            where=f"as of {self.as_of}",
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {**asdict(self), "levels": [asdict(one) for one in self.levels]}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> SegmentList:
        """Read what `to_json` wrote."""
        levels = tuple(Level(**known_fields(Level, one)) for one in value["levels"])
        return cls(**{**known_fields(cls, value), "levels": levels})


def list_segments(store: ObjectStore, model: ModelConfig, snapshot: Snapshot) -> SegmentList:
    """Return the segments of a snapshot's training window, in the order of their names.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        With `segments`.
    snapshot : Snapshot
        Checked, of all rows.

    Raises
    ------
    ConfigError
        When the column is not there, or is of a kind that has no levels; or when there are more segments than are declared, or levels that
        are too large for a record.
    """
    declared = model.segments
    assert declared is not None  # noqa: S101 (held by the caller)
    _check_column(model, declared, snapshot)
    column = read_table(store, snapshot, model, [declared.column], window="train")[declared.column]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    counts = {one["values"]: one["counts"] for one in pc.value_counts(column).to_pylist()}
    missing = counts.pop(None, 0)
    enough = [Level(value, rows) for value, rows in counts.items() if rows >= declared.min_rows]
    if len(enough) > declared.at_most:
        raise ConfigError(
            f"`{declared.column}` has more segments than `segments.at_most` allows.",
            expected=f"at most {declared.at_most} levels with {declared.min_rows:,} rows or more",
            found=str(len(enough)),
            where=f"{model.name}, training window as of {to_iso(snapshot.as_of)}",
            remedy="raise `segments.min_rows`, or `at_most`; all other rows stay with the model of all rows",
        )
    if any(isinstance(one.level, int) and abs(one.level) >= 2**53 for one in enough):
        raise ConfigError(
            f"Levels of `{declared.column}` are larger numbers than a record can hold.",
            expected="texts, or whole numbers below 2^53",
            where=f"{model.name}, field segments.column",
            remedy="declare the column as a text where it is read",
        )
    return SegmentList(
        as_of=to_iso(snapshot.as_of),
        of=identity_of(declared, snapshot),
        column=declared.column,
        levels=tuple(sorted(enough, key=lambda one: one.name)),
        rare=len(counts) - len(enough),
        rare_rows=sum(counts.values()) - sum(one.rows for one in enough),
        missing=missing,
    )


def segment_snapshot(
    store: ObjectStore, model: ModelConfig, snapshot: Snapshot, found: SegmentList, name: str
) -> Snapshot:
    """Keep and return the snapshot of one segment's rows: the same partitions, none of them copied.

    Parameters
    ----------
    store : ObjectStore
    model : ModelConfig
        The declared one, of all rows.
    snapshot : Snapshot
        Checked, of all rows.
    found : SegmentList
        The run's segments.
    name : str
        The segment's.
    """
    own = snapshot.of_segment(segment_key(model.name, name), Segment(found.column, found[name].level))
    own.save(store)
    return own


def identity_of(declared: Segments, snapshot: Snapshot) -> str:
    """Return the digest of the snapshot and of the declaration that a list of segments follows from."""
    return digest_json({"segments": declared.said(), "snapshot": snapshot.digest})


def _check_column(model: ModelConfig, declared: Segments, snapshot: Snapshot) -> None:
    kind = snapshot.own_schema.get(declared.column)
    if kind in _KINDS:
        return
    raise ConfigError(
        f"Segments can't be made of `{declared.column}`.",
        expected=f"a column of the source of one of the kinds {', '.join(_KINDS)}",
        found=kind or "no such column",
        where=f"{model.name}, field segments.column",
        remedy=did_you_mean(
            declared.column,
            snapshot.own_schema if kind is None else (),
            "name another column, or add one to the source",
        ),
    )
