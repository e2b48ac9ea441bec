from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from include.data.quality.page import chart, render


def check(**facts: Any) -> dict[str, Any]:
    return {
        "entry": 0,
        "expectation": "expect_column_values_to_be_in_set",
        "arguments": {"column": "place", "value_set": ["north"]},
        "severity": "warning",
        "quarantine": False,
        "status": "passed",
        "judged": 200,
        "missing": 0,
        "unexpected": 0,
        "observed": None,
        "error": None,
        **facts,
    }


def report(*checks: dict[str, Any], **facts: Any) -> dict[str, Any]:
    window = {"after": "2024-01-01T00:00:00Z", "until": "2024-02-01T00:00:00Z"}
    return {
        "model": "parcels",
        "as_of": "2024-05-01T00:00:00Z",
        "snapshot": "1" * 64,
        "goes_on_with": "1" * 64,
        "quality": "2" * 64,
        "great_expectations": "1.24.1",
        "windows": {"train": window, "holdout": window},
        "partition": "month",
        "rows": {"checked": 200, "train": 150, "holdout": 50, "set_aside": 0},
        "max_quarantined": 0.05,
        "stops": [],
        "warnings": [],
        "checks": list(checks),
        "coverage": [{"slot": "2024-01", "train": 150, "holdout": 50, "set_aside": 0}],
        "missing": [{"column": "place", "missing": 3}, {"column": "size", "missing": 0}],
        **facts,
    }


class _Balance(HTMLParser):
    """Follow which elements are open."""

    void = frozenset({"meta", "br", "rect", "line", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag not in self.void:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("status", ["passed", "failed", "set_aside", "error"])
def test_every_outcome_has_its_page_that_needs_nothing_from_elsewhere(status: str) -> None:
    page = render(report(check(status=status, unexpected=3, error="broken" if status == "error" else None)), "3" * 64)
    balance = _Balance()
    balance.feed(page)
    assert balance.open == []
    assert not balance.seen & {"script", "link", "img", "iframe"}
    assert "http" not in page
    assert "url(" not in page


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"stops": ["a reason"], "warnings": ["another"]}, "The run stops"),
        ({"warnings": ["one"]}, "with 1 warning."),
        ({"rows": {"checked": 200, "train": 150, "holdout": 50, "set_aside": 7}}, "goes on without 7 rows"),
        ({}, "nothing failed"),
    ],
)
def test_the_verdict_comes_first(facts: dict[str, Any], verdict: str) -> None:
    assert verdict in render(report(check(), **facts), "3" * 64)


def test_what_failed_stands_above_what_held() -> None:
    page = render(
        report(check(entry=0), check(entry=1, status="failed"), check(entry=2, status="error", error="no")), "3" * 64
    )
    assert page.index(">not evaluated<") < page.index(">failed<") < page.index(">held<")


def test_values_from_the_data_are_text_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>"
    page = render(
        report(
            check(
                status="failed", unexpected=1, observed=hostile, arguments={"column": hostile, "value_set": [hostile]}
            ),
            check(status="error", error=hostile),
            stops=[hostile],
            rectified=[{"what": hostile, "count": 2}],
            missing=[{"column": hostile, "missing": 2}],
            coverage=[{"slot": '"><script>', "train": 1, "holdout": 0, "set_aside": 0}],
        ),
        "3" * 64,
    )
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_bars_show_every_row_once_however_many_slots_there_are() -> None:
    coverage = [{"slot": f"slot {n}", "train": n, "holdout": 2, "set_aside": 1} for n in range(1000)]
    drawn = chart(coverage)
    assert len(drawn["bars"]) <= 92
    assert sum(bar["rows"] for bar in drawn["bars"]) == sum(range(1000)) + 2000
    assert max(bar["train"]["height"] + bar["holdout"]["height"] for bar in drawn["bars"]) == pytest.approx(
        drawn["height"], abs=0.02
    )


def test_a_slot_without_rows_is_named() -> None:
    empty = {"slot": "2024-02", "train": 0, "holdout": 0, "set_aside": 0}
    page = render(report(coverage=[{"slot": "2024-01", "train": 5, "holdout": 0, "set_aside": 0}, empty]), "3" * 64)
    assert "No rows in 1 of 2: 2024-02" in page


def test_one_row_set_aside_among_many_is_still_visible() -> None:
    (bar,) = chart([{"slot": "2024-01", "train": 1_000_000, "holdout": 0, "set_aside": 1}])["bars"]
    assert bar["set_aside"]["height"] >= 2
