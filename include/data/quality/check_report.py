"""The report of a check: its stored form, and the summary that a task returns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from include.config.sections.rows.quality import Expectation
from include.data.quality.outcomes import Outcome, plain_value
from include.data.snapshots import DUPLICATES
from include.storage.content import get_content
from include.storage.store import ObjectStore


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


def load_report(store: ObjectStore, model: str, report: str) -> dict[str, Any]:
    """Return a stored report; raises `ObjectMissing`, `ObjectCorrupt`."""
    value: dict[str, Any] = json.loads(get_content(store, f"{model}/checks", ".json", report))
    return value


def report_of(number: int, expectation: Expectation, outcome: Outcome) -> dict[str, Any]:
    """Return what the report keeps of one expectation.

    Parameters
    ----------
    number : int
        Its place among the declared ones.
    expectation : Expectation
        As declared.
    outcome : Outcome
        What was found on all rows.
    """
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
        "arguments": plain_value(expectation.model_dump(mode="json")["arguments"]),
        "severity": expectation.severity,
        "quarantine": expectation.quarantine,
        "status": status,
        **found,
    }


def describe_rectified(one: Mapping[str, Any]) -> str:
    """Describe a correction in a report: texts of a column, or duplicate rows."""
    if one["what"] == DUPLICATES:
        return f"{one['count']:,} duplicate rows were dropped"
    return f"{one['count']:,} texts of {one['what']}"


def sentence_of(one: Mapping[str, Any]) -> str:
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
