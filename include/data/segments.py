"""The segments of a run: the levels of a column with enough rows to train on, and the log of what was found and not trained."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from include.config.model import ModelConfig
from include.config.sections.rows.segments import Segments, segment_key, segment_name
from include.data.frames import read_table
from include.data.snapshots import Segment, Snapshot
from include.errors import ConfigError, RegistryError, nearest
from include.storage.content import digest_json, from_iso, known_fields, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

LISTED, UNTRAINED = "listed", "untrained"
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
        When the column is not there, or is of a kind that has no levels; or when there are more segments than are declared.
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
    return SegmentList(
        as_of=to_iso(snapshot.as_of),
        of=_identity(declared, snapshot),
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


class SegmentLog:
    """What runs found and could not train, append-only. Which version of a segment is in force its own ledger says.

    Every method can be repeated: what stands already is not written again.
    """

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/segment_log")
        self.model = model

    def keep(self, found: SegmentList, *, at: datetime) -> None:
        """Put the segments of a run on record."""
        self._once(LISTED, found.to_json(), at)

    def untrained(self, segment: str, as_of: datetime, reason: str, *, at: datetime) -> None:
        """Put on record that a segment could not be trained or judged as of an instant, and why."""
        self._once(UNTRAINED, {"segment": segment, "as_of": to_iso(as_of), "reason": reason}, at)

    def of(self, model: ModelConfig, snapshot: Snapshot) -> SegmentList:
        """Return the segments that a run found in a snapshot.

        Raises
        ------
        ConfigError
            When they were not listed by this declaration.
        """
        assert model.segments is not None  # noqa: S101 (held by the caller)
        wanted = _identity(model.segments, snapshot)
        for entry in self._log.read():
            if entry.kind == LISTED and entry.body["of"] == wanted:
                return SegmentList.from_json(entry.body)
        raise ConfigError(
            "The segments of these rows were not listed by what `segments` says now.",
            where=f"{self.model}, as of {to_iso(snapshot.as_of)}",
            remedy="clear the run from its task `segments`",
        )

    def newest(self) -> SegmentList | None:
        """Return the segments of the run with the newest as-of; of several the one that was listed last."""
        listed = [entry for entry in self._log.read() if entry.kind == LISTED]
        newest = max(listed, key=lambda entry: (entry.body["as_of"], entry.number), default=None)
        return None if newest is None else SegmentList.from_json(newest.body)

    def ever(self) -> dict[str | int | bool, str]:
        """Return the name of every level that was ever a segment."""
        lists = [SegmentList.from_json(entry.body) for entry in self._log.read() if entry.kind == LISTED]
        return {one.level: one.name for found in lists for one in found.levels}

    def why_untrained(self) -> dict[str, tuple[datetime, str]]:
        """Return of each segment when it last could not be trained, and why."""
        last: dict[str, tuple[datetime, str]] = {}
        for entry in self._log.read():
            if entry.kind == UNTRAINED:
                instant, name = from_iso(entry.body["as_of"]), entry.body["segment"]
                if name not in last or last[name][0] <= instant:
                    last[name] = (instant, entry.body["reason"])
        return last

    def _once(self, kind: str, body: dict[str, Any], at: datetime) -> None:
        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known = any(entry.kind == kind and entry.body == body for entry in entries)
            return None if known else (kind, body)

        self._log.append(unless_known, at=to_iso(at))


def segment_models(store: ObjectStore, model: str) -> list[str]:
    """Return under which names the store keeps the models of all that was ever a segment of a model."""
    return [segment_key(model, name) for name in sorted(set(SegmentLog(store, model).ever().values()))]


def _identity(declared: Segments, snapshot: Snapshot) -> str:
    return digest_json({"segments": declared.said(), "snapshot": snapshot.digest})


def _check_column(model: ModelConfig, declared: Segments, snapshot: Snapshot) -> None:
    kind = snapshot.own_schema.get(declared.column)
    if kind in _KINDS:
        return
    close = nearest(declared.column, snapshot.own_schema)
    raise ConfigError(
        f"Segments can't be made of `{declared.column}`.",
        expected=f"a column of the source of one of the kinds {', '.join(_KINDS)}",
        found=kind or "no such column",
        where=f"{model.name}, field segments.column",
        remedy=f"did you mean `{close}`?"
        if kind is None and close
        else "name another column, or add one to the source",
    )
