from __future__ import annotations

from datetime import UTC, datetime

from include.command_line.ledger_table import ledger_table
from include.registry.timeline import Timeline
from include.registry.version_states import Decision, Outcome, Trigger, VersionState

PRIMARY = {
    "metric": "roc_auc",
    "against": "incumbent",
    "challenger": 0.75,
    "other": 0.74,
    "gain": 0.01,
    "low": 0.004,
    "high": 0.016,
    "confidence": 0.95,
}


def standing(month: int, outcome: Outcome, *, withdrawn: str | None = None, **primary: object) -> VersionState:
    decision = Decision(f"v{month}", outcome, "reason", None, "e", "p", "c", {**PRIMARY, **primary}, {})
    return VersionState(
        f"v{month}", datetime(2013, month, 1, tzinfo=UTC), month, Trigger.BACKFILL, decision, month, withdrawn
    )


def test_each_version_is_a_line_with_its_figures_and_its_standing():
    timeline = Timeline((standing(5, Outcome.PROMOTE), standing(6, Outcome.REJECT), standing(7, Outcome.PROMOTE)))
    head, _, may, june, july = ledger_table(timeline).splitlines()
    assert "roc_auc" in head
    assert "95%" in head
    assert may.split() == [
        "2013-05-01",
        "v5",
        "PROMOTE",
        *["0.7500", "incumbent", "0.7400", "+0.0100", "+0.0040", "..", "+0.0160", "was", "champion"],
    ]
    assert june.endswith("+0.0160")
    assert july.endswith("in force")


def test_a_withdrawn_version_says_so():
    timeline = Timeline((standing(5, Outcome.PROMOTE), standing(6, Outcome.PROMOTE, withdrawn="leak")))
    assert ledger_table(timeline).splitlines()[-1].endswith("withdrawn")
    assert ledger_table(timeline).splitlines()[-2].endswith("in force")


def test_what_could_not_be_measured_shows_as_a_question_mark():
    timeline = Timeline((standing(5, Outcome.INCOMPARABLE, other=None, gain=None, low=None, high=None),))
    assert " ? " in ledger_table(timeline).splitlines()[-1]


def test_an_undecided_version_and_an_empty_ledger_have_a_table_too():
    undecided = VersionState("v5", datetime(2013, 5, 1, tzinfo=UTC), 0, Trigger.MANUAL)
    assert "(undecided)" in ledger_table(Timeline((undecided,)))
    assert len(ledger_table(Timeline()).splitlines()) == 2
