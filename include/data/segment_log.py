"""The log of a model's segments: segments that runs found or could not train, and announced promotions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from include.config.model import ModelConfig
from include.config.sections.rows.segments import segment_key
from include.data.segments import SegmentList, identity_of
from include.data.snapshots import Snapshot
from include.errors import ConfigError
from include.storage.content import from_iso, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

LISTED, UNTRAINED, CHANGING = "listed", "untrained", "changing"


class SegmentLog:
    """What runs found and could not train, append-only. Which version of a segment is in force its own ledger says.

    Before an event is written to a segment's ledger that puts another version in force, its number is announced here. So who
    follows all segments asks one log for news, however many there are, and misses nothing also after tasks were killed.

    Every method can be repeated: what stands already is not written again.
    """

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/segment_log")
        self.model = model

    def keep(self, found: SegmentList, *, at: datetime) -> None:
        """Put the segments of a run on record."""
        self._once(LISTED, found.to_json(), to_iso(at))

    def untrained(self, segment: str, as_of: datetime, reason: str, *, at: datetime) -> None:
        """Put on record that a segment could not be trained or judged.

        Parameters
        ----------
        segment : str
            Its level.
        as_of : datetime
            The as-of of the run.
        reason : str
            A sentence without a row's value.
        at : datetime
            The instant that goes on record.
        """
        self._once(UNTRAINED, {"segment": segment, "as_of": to_iso(as_of), "reason": reason}, to_iso(at))

    def of(self, model: ModelConfig, snapshot: Snapshot) -> SegmentList:
        """Return the segments that a run found in a snapshot.

        Raises
        ------
        ConfigError
            When they were not listed by this declaration.
        """
        assert model.segments is not None  # noqa: S101 (held by the caller)
        wanted = identity_of(model.segments, snapshot)
        for entry in self._log.read():
            if entry.kind == LISTED and entry.body["of"] == wanted:
                return SegmentList.from_json(entry.body)
        raise ConfigError(
            "The segments of this run were listed under another declaration of `segments`.",
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

    def announce(self, segment: str, number: int, *, at: str) -> None:
        """Put on record that an event of this number, of a segment's ledger, is about to put another version in force."""
        self._once(CHANGING, {"segment": segment, "number": number}, at)

    def announced(self) -> dict[str, int]:
        """Return of each segment the number of the last event that was announced; it may not be written yet."""
        last: dict[str, int] = {}
        for entry in self._log.read():
            if entry.kind == CHANGING:
                name = entry.body["segment"]
                last[name] = max(entry.body["number"], last.get(name, -1))
        return last

    def has_news(self) -> bool:
        """Tell in one call of the store whether there is more than this instance has read."""
        return self._log.has_more()

    def _once(self, kind: str, body: dict[str, Any], at: str) -> None:
        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            known = any(entry.kind == kind and entry.body == body for entry in entries)
            return None if known else (kind, body)

        self._log.append(unless_known, at=at)


def segment_models(store: ObjectStore, model: str) -> list[str]:
    """Return under which names the store keeps the models of all that was ever a segment of a model."""
    return [segment_key(model, name) for name in sorted(set(SegmentLog(store, model).ever().values()))]
