"""Check a snapshot's rows against the model's expectations, set offending rows aside, and keep the result before judging it.

The report may quote a few values of a column that failed, since it stays in the store beside the rows; log lines, errors and
`CheckReport` hold names and counts only.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.config.code import code_digest
from include.config.model import ModelConfig
from include.config.sections.data import Expectation
from include.data.frames import read_rows
from include.data.quality import expectations as gx
from include.data.quality.page import keep_page, render
from include.data.quality.typed_arguments import typed_arguments
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import POSITION, SLOT, in_parts, nothing_in
from include.errors import QualityError
from include.storage.answers import find_answer, keep_answer
from include.storage.content import canonical_json, digest_json, get_content, put_content, to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

Array = NDArray[Any]

PART = 1_000_000
"""Rows that are judged at once, where there are more: each time costs a few tenths of a second."""


@dataclass(frozen=True)
class CheckReport:
    """What a check found, in names and numbers.

    Attributes
    ----------
    snapshot : str
        Digest of the snapshot to go on with: the one checked, or a new one without the rows set aside.
    stops : tuple of str
        Why the run may not go on, a sentence each; empty when it may.
    warnings : tuple of str
        What did not hold and is only recorded, a sentence each.
    rows, set_aside : int
        How many rows were checked, and how many of them were set aside.
    report, page : str
        Digests of the stored report, ``<model>/checks/<report>.json``, and of its page, ``<model>/checks/<page>.html``.
    """

    snapshot: str
    stops: tuple[str, ...]
    warnings: tuple[str, ...]
    rows: int
    set_aside: int
    report: str
    page: str

    @property
    def passed(self) -> bool:
        """Whether the run may go on."""
        return not self.stops

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, small enough for XCom."""
        return {**asdict(self), "stops": list(self.stops), "warnings": list(self.warnings)}


def check(store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot) -> CheckReport:
    """Check the rows of both windows; the same snapshot and expectations find the result that is there.

    Every expectation judges all of these rows, with or without a label, also those that another one sets aside.

    Parameters
    ----------
    folder : Path
        The model's folder, for expectations on columns that ``features.derive`` adds.

    Raises
    ------
    QualityError
        When a critical expectation fails, an expectation can't be evaluated, or more rows than
        ``quality.max_quarantined`` would be set aside. Report and page are stored by then; its ``report`` and ``page`` name them.
    ConfigError
        When an expectation names a column that is not there, or Great Expectations refuses its arguments.
    """
    folder_of_checks = f"{model.name}/checks"
    place, question = f"{folder_of_checks}/index", _question(model, folder, snapshot)
    if (names := find_answer(store, place, question)) is not None:
        log.info("%s: these rows were checked before", model.name)
    else:
        body = canonical_json(_examine(store, model, folder, snapshot))
        report = put_content(store, folder_of_checks, ".json", body)
        page = put_content(store, folder_of_checks, ".html", render(json.loads(body), report).encode())
        names = keep_answer(store, place, question, {"report": report, "page": page})
    found = load_report(store, model.name, names["report"])
    keep_page(store, model, found["goes_on_with"], names)
    result = CheckReport(
        snapshot=found["goes_on_with"],
        stops=tuple(found["stops"]),
        warnings=tuple(found["warnings"]),
        rows=found["rows"]["checked"],
        set_aside=found["rows"]["set_aside"],
        **names,
    )
    _say(model, found, result)
    return result


def load_report(store: ObjectStore, model: str, report: str) -> dict[str, Any]:
    """Return a stored report; raises `ObjectMissing`, `ObjectCorrupt`."""
    value: dict[str, Any] = json.loads(get_content(store, f"{model}/checks", ".json", report))
    return value


def _question(model: ModelConfig, folder: Path, snapshot: Snapshot) -> dict[str, Any]:
    derive = model.features.derive
    return {
        "snapshot": snapshot.digest,
        "quality": model.quality.model_dump(mode="json"),
        "features": list(model.features.columns),
        "code": code_digest(folder, derive.partition(":")[0]) if derive else None,
    }


def _examine(store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot) -> dict[str, Any]:
    declared, where = model.quality.expectations, f"{model.name}/model.yaml"
    # Refused arguments are answered before any row is read.
    built = gx.build(declared, where) if declared else []
    parts = in_parts(snapshot, PART)
    # Few rows are judged at once. Of many, what goes row by row is judged part by part, so that memory holds one part, and
    # the rest on the columns that it needs.
    at_once = [number for number, one in enumerate(declared) if len(parts) == 1 or gx.is_by_row(one)]
    rest = [number for number in range(len(declared)) if number not in at_once]
    found: dict[int, list[gx.Outcome]] = {number: [] for number in range(len(declared))}
    counts = _Counts([pinned.slot for pinned in snapshot.partitions])

    def judge(numbers: list[int], needed: list[str] | None, frame: pd.DataFrame) -> None:
        judged = frame.drop(columns=[SLOT, POSITION])
        chosen = [built[number] for number in numbers], [declared[number] for number in numbers]
        outcomes = gx.validate(
            judged if needed is None else judged[needed],
            typed_arguments(*chosen, judged, model.data.timezone, where),
            locate=[declared[number].quarantine for number in numbers],
        )
        for number, outcome in zip(numbers, outcomes, strict=True):
            found[number].append(outcome)
            counts.set_aside(frame, outcome.offending)

    needed = gx.columns_needed([declared[number] for number in at_once])
    for number, part in enumerate(parts, start=1):
        among = None if len(parts) == 1 else part
        frame = _read(store, model, folder, snapshot, _shown(model, gx.columns_needed(declared), snapshot), among)
        log.info(
            "%s: %s rows against %d expectations%s",
            *(model.name, f"{len(frame):,}", len(at_once), "" if among is None else f", part {number} of {len(parts)}"),
        )
        if frame.empty:  # a partition that only touches a window, as the one that as-of stands at the edge of
            continue
        gx.check_columns(declared, list(frame.columns), where)
        counts.add(frame, (frame[model.data.event_time] <= snapshot.split.train.until).to_numpy())
        if at_once:
            judge(at_once, needed, frame)
    for name, rows in (("train", counts.train), ("holdout", counts.holdout)):
        if not rows.sum() and getattr(snapshot.split, name).after < getattr(snapshot.split, name).until:
            raise nothing_in(snapshot, getattr(snapshot.split, name), name, None)
    if rest:
        log.info("%s: %d expectations that look at all rows together", model.name, len(rest))
        needed = gx.columns_needed([declared[number] for number in rest])
        judge(rest, needed, _read(store, model, folder, snapshot, needed, None))
    checks = [_check(number, one, gx.evaluate_together(one, found[number])) for number, one in enumerate(declared)]
    aside = counts.aside
    goes_on_with = snapshot if aside.empty else _without(store, snapshot, aside)
    share = len(aside) / counts.rows
    stops = [
        _sentence(one)
        for one in checks
        if one["status"] == "error" or (one["status"] == "failed" and one["severity"] == "critical")
    ]
    if share > model.quality.max_quarantined:
        stops.append(
            f"{len(aside):,} of {counts.rows:,} rows ({share:.2%}) would be set aside, "
            f"quality.max_quarantined allows {model.quality.max_quarantined:.2%}"
        )
    return {
        "model": model.name,
        "as_of": to_iso(snapshot.as_of),
        "snapshot": snapshot.digest,
        "goes_on_with": goes_on_with.digest,
        "quality": digest_json(model.quality.model_dump(mode="json")),
        "great_expectations": importlib.metadata.version("great_expectations") if declared else None,
        "windows": snapshot.split.to_json(),
        "partition": str(model.data.partition),
        "rows": {
            "checked": counts.rows,
            "train": int(counts.train.sum()),
            "holdout": int(counts.holdout.sum()),
            "set_aside": len(aside),
        },
        "max_quarantined": model.quality.max_quarantined,
        "stops": stops,
        "warnings": [_sentence(one) for one in checks if one["status"] == "failed" and one["severity"] == "warning"],
        "checks": checks,
        "coverage": counts.coverage(),
        "missing": [{"column": name, "missing": count} for name, count in counts.missing.items()],
    }


def _shown(model: ModelConfig, needed: list[str] | None, snapshot: Snapshot) -> list[str] | None:
    """Return the columns to read: those that are judged, and those whose missing values are shown; all of them if None."""
    if needed is None or not set(needed) <= set(snapshot.schema):
        return None
    shown = {*needed, *model.features.columns, *model.data.labels, model.data.event_time}
    return sorted(shown & set(snapshot.schema))


def _read(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    columns: list[str] | None,
    among: list[Pinned] | None,
) -> pd.DataFrame:
    return read_rows(
        store,
        snapshot,
        model,
        folder,
        window="both",
        columns=columns,
        labelled=False,
        positions=True,
        among=among,
    )


class _Counts:
    """What is counted of rows that come part by part: rows of each window and partition, missing values, rows set aside."""

    def __init__(self, slots: list[str]) -> None:
        self.slots = slots
        self.train = np.zeros(len(slots), int)
        self.holdout = np.zeros(len(slots), int)
        self.missing: dict[str, int] = {}
        self._aside: dict[str, Array] = {}

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.train.sum() + self.holdout.sum())

    @property
    def aside(self) -> pd.DataFrame:
        """Partition and place of every row that is set aside."""
        counts = [len(self._aside[slot]) for slot in sorted(self._aside)]
        places = [self._aside[slot] for slot in sorted(self._aside)]
        slots = np.repeat(np.array(sorted(self._aside), dtype=object), counts)
        return pd.DataFrame({SLOT: slots, POSITION: np.concatenate([np.array([], "int64"), *places])})

    def add(self, frame: pd.DataFrame, train: Any) -> None:
        """Count rows; ``train`` tells which of them lie in the training window."""
        slots = frame[SLOT].cat
        place = np.searchsorted(self.slots, slots.categories.to_numpy(str))[slots.codes]
        self.train += np.bincount(place[train], minlength=len(self.slots))
        self.holdout += np.bincount(place[~train], minlength=len(self.slots))
        for name, count in frame.drop(columns=[SLOT, POSITION]).isna().sum().items():
            self.missing[str(name)] = self.missing.get(str(name), 0) + int(count)

    def set_aside(self, frame: pd.DataFrame, offending: Sequence[int]) -> None:
        """Take note of rows, by their places in ``frame``."""
        rows = frame[[SLOT, POSITION]].iloc[list(offending)]
        for slot, places in rows.groupby(SLOT, observed=True)[POSITION]:
            self._aside[str(slot)] = np.union1d(self._aside.get(str(slot), np.array([], "int64")), places)

    def coverage(self) -> list[dict[str, Any]]:
        """Return the counts of each partition."""
        return [
            {"slot": slot, "train": int(train), "holdout": int(holdout), "set_aside": len(self._aside.get(slot, ()))}
            for slot, train, holdout in zip(self.slots, self.train, self.holdout, strict=True)
        ]


def _without(store: ObjectStore, snapshot: Snapshot, rows: pd.DataFrame) -> Snapshot:
    """Store which rows are set aside and return the snapshot, stored as well, that names them."""
    folder = f"{snapshot.model}/quarantine"
    slots, places = (rows.iloc[:, place].to_numpy() for place in (0, 1))
    table = pa.table({"slot": pa.array(slots, pa.string()), "position": pa.array(places, pa.int64())})
    if snapshot.excluded is not None:
        before = get_content(store, folder, ".parquet", snapshot.excluded)
        table = pa.concat_tables([pq.read_table(pa.BufferReader(before)).cast(table.schema), table])
    buffer = pa.BufferOutputStream()
    ordered = table.sort_by([("slot", "ascending"), ("position", "ascending")])
    pq.write_table(ordered, buffer, compression="zstd", write_page_checksum=True)
    excluded = put_content(store, folder, ".parquet", buffer.getvalue().to_pybytes())
    result = snapshot.without(excluded)
    result.save(store)
    return result


def _check(number: int, expectation: Expectation, outcome: gx.Outcome) -> dict[str, Any]:
    if outcome.error:
        status = "error"
    elif expectation.quarantine and outcome.offending:
        status = "set_aside"
    else:
        status = "passed" if outcome.passed else "failed"
    found = asdict(replace(outcome, offending=()))  # which would be copied one by one, and may be millions
    del found["passed"], found["offending"]
    return {
        "entry": number,
        "expectation": expectation.type,
        "arguments": gx.plain_value(expectation.model_dump(mode="json")["arguments"]),
        "severity": expectation.severity,
        "quarantine": expectation.quarantine,
        "status": status,
        **found,
        "examples": list(outcome.examples),
    }


def _sentence(one: Mapping[str, Any]) -> str:
    """Say what did not hold, without any value of the data and without the library's words, which may quote one."""
    arguments = one["arguments"]
    named = [arguments[name] for name in ("column", "column_A", "column_B", "column_list") if name in arguments]
    columns = ", ".join(str(column) for name in named for column in (name if isinstance(name, list) else [name]))
    title = f"{one['expectation']}{f' on {columns}' if columns else ''}"
    if one["status"] == "error":
        return f"{title}: Great Expectations could not evaluate it"
    if one["unexpected"] is None or not one["judged"]:
        return f"{title}: does not hold"
    return f"{title}: {one['unexpected']:,} of {one['judged']:,} rows ({one['unexpected'] / one['judged']:.2%}) are not as expected"


def _say(model: ModelConfig, report: Mapping[str, Any], result: CheckReport) -> None:
    """Log the closing line; raise when the run may not go on."""
    held = sum(one["status"] == "passed" for one in report["checks"])
    for warning in result.warnings:
        log.warning("%s: %s", model.name, warning)
    log.info(
        "%s: %d of %d expectations hold, %d warnings, %s of %s rows set aside",
        model.name,
        held,
        len(report["checks"]),
        len(result.warnings),
        f"{result.set_aside:,}",
        f"{result.rows:,}",
    )
    if result.stops:
        raise QualityError(
            "The rows are not fit to learn from.",
            report=result.report,
            page=result.page,
            found="; ".join(result.stops),
            where=f"model {model.name}, as of {report['as_of']}",
            remedy=f"read {model.name}/checks/{result.page}.html in the store; correct the source, or `quality` in model.yaml",
        )
