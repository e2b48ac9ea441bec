"""Check a snapshot's rows against the model's expectations, quarantine offending rows, and store the report before judging it.

Report, page, log lines and errors contain names, counts and aggregates, but no value of a row.
"""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from include.config.code import code_digest
from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.quality.check_report import CheckReport, describe_rectified, load_report, report_of, sentence_of
from include.data.quality.distributions import Distributions
from include.data.quality.expectations import check_columns, columns_needed, is_by_row
from include.data.quality.outcomes import Outcome, evaluate_together
from include.data.quality.page import keep_page, render
from include.data.quality.quarantine import RowCounts, set_aside
from include.data.quality.typed_arguments import typed_arguments
from include.data.quality.validation import build, validate
from include.data.rare_levels import pooled_by
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import POSITION, SLOT, in_parts, nothing_in
from include.errors import QualityError
from include.storage.answers import find_answer, keep_answer
from include.storage.concurrency import written_together
from include.storage.content import canonical_json, digest_json, put_content, to_iso
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

PART = 1_000_000
"""Rows that are judged at once, where there are more: each time costs a few tenths of a second."""


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
        with written_together(store) as new:
            body = canonical_json(_examine(new, model, folder, snapshot))
            report = put_content(new, folder_of_checks, ".json", body)
            page = put_content(new, folder_of_checks, ".html", render(json.loads(body), report).encode())
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


def _question(model: ModelConfig, folder: Path, snapshot: Snapshot) -> dict[str, Any]:
    derive = model.features.derive
    return {
        "snapshot": snapshot.digest,
        **pooled_by(model.data),
        "quality": model.quality.model_dump(mode="json"),
        "features": list(model.features.columns),
        "code": code_digest(folder, derive.partition(":")[0]) if derive else None,
    }


def _examine(store: ObjectStore, model: ModelConfig, folder: Path, snapshot: Snapshot) -> dict[str, Any]:
    declared, where = model.quality.expectations, f"{model.declared_name}/model.yaml"
    # Refused arguments are answered before any row is read.
    built = build(declared, where) if declared else []
    parts = in_parts(snapshot, PART)
    # Few rows are judged at once. Of many, what goes row by row is judged part by part, so that memory holds one part, and
    # the rest on the columns that it needs.
    at_once = [number for number, one in enumerate(declared) if len(parts) == 1 or is_by_row(one)]
    rest = [number for number in range(len(declared)) if number not in at_once]
    found: dict[int, list[Outcome]] = {number: [] for number in range(len(declared))}
    distributions = Distributions([*model.features.columns, *model.data.labels], model.data)
    counts = RowCounts([pinned.slot for pinned in snapshot.partitions])

    def judge(numbers: list[int], needed: list[str] | None, frame: pd.DataFrame) -> None:
        judged = frame.drop(columns=[SLOT, POSITION])
        chosen = [built[number] for number in numbers], [declared[number] for number in numbers]
        outcomes = validate(
            judged if needed is None else judged[needed],
            typed_arguments(*chosen, judged, model.data.timezone, where),
            locate=[declared[number].quarantine for number in numbers],
        )
        for number, outcome in zip(numbers, outcomes, strict=True):
            found[number].append(outcome)
            counts.set_aside(frame, outcome.offending)

    needed = columns_needed([declared[number] for number in at_once])
    for number, part in enumerate(parts, start=1):
        among = None if len(parts) == 1 else part
        frame = _read(store, model, folder, snapshot, _shown(model, columns_needed(declared), snapshot), among)
        log.info(
            "%s: %s rows against %d expectations%s",
            *(model.name, f"{len(frame):,}", len(at_once), "" if among is None else f", part {number} of {len(parts)}"),
        )
        if frame.empty:  # a partition at the edge of a window may have no row in it
            continue
        check_columns(declared, list(frame.columns), where)
        train = (frame[model.data.event_time] <= snapshot.split.train.until).to_numpy()
        counts.add(frame, train)
        distributions.add(frame, train)
        if at_once:
            judge(at_once, needed, frame)
    for name, rows in (("train", counts.train), ("holdout", counts.holdout)):
        if not rows.sum() and getattr(snapshot.split, name).after < getattr(snapshot.split, name).until:
            raise nothing_in(snapshot, getattr(snapshot.split, name), name, None)
    if rest:
        log.info("%s: %d expectations that look at all rows together", model.name, len(rest))
        needed = columns_needed([declared[number] for number in rest])
        judge(rest, needed, _read(store, model, folder, snapshot, needed, None))
    checks = [report_of(number, one, evaluate_together(one, found[number])) for number, one in enumerate(declared)]
    aside = counts.aside
    goes_on_with = snapshot if aside.empty else set_aside(store, snapshot, aside)
    share = len(aside) / counts.rows
    stops = [
        sentence_of(one)
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
        "warnings": [sentence_of(one) for one in checks if one["status"] == "failed" and one["severity"] == "warning"],
        "checks": checks,
        "coverage": counts.coverage(),
        **({"rectified": put_right} if (put_right := _rectified(snapshot)) else {}),
        "distributions": distributions.found(),
        "missing": [{"column": name, "missing": count} for name, count in counts.missing.items()],
    }


def _rectified(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return how many texts of each column were corrected and how many rows dropped, in the whole partitions of the model's own source."""
    counts = sum((Counter(dict(one.rectified)) for one in snapshot.partitions), Counter[str]())
    return [{"what": name, "count": count} for name, count in sorted(counts.items())]


def _shown(model: ModelConfig, needed: list[str] | None, snapshot: Snapshot) -> list[str] | None:
    """Return the columns to read: those that are judged, and those whose missing values are shown; all of them if None."""
    counted = model.data.people
    if needed is None or not {*needed, *counted} <= set(snapshot.schema):
        return None
    shown = {*needed, *model.features.columns, *model.data.labels, model.data.event_time, *counted}
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


def _say(model: ModelConfig, report: Mapping[str, Any], result: CheckReport) -> None:
    """Log the closing line; raise when the run may not go on."""
    held = sum(one["status"] == "passed" for one in report["checks"])
    for warning in result.warnings:
        log.warning("%s: %s", model.name, warning)
    for one in report.get("rectified", ()):
        log.info("%s: corrected as rows were read: %s", model.name, describe_rectified(one))
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
