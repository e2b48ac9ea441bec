"""Rows without an id that are equal: what stands on one side together counts as one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from chain_run import run_chain

from include.config.load import load_model
from include.drafting.draft import draft
from include.evaluation.evidence import EQUAL_ROWS, Evidence, load_evidence
from include.registry.gate.judgement import judge
from include.storage.local import LocalStore
from tests.include.data.test_random_split import people

NOW = datetime(2025, 5, 1, tzinfo=UTC)


def test_a_table_of_few_different_rows_holds_and_says_why_and_its_draft_takes_them_for_separate(tmp_path: Path) -> None:
    people().to_csv(tmp_path / "people.csv", index=False)
    drafted = draft(tmp_path, "people", tmp_path / "people.csv", "y", now=NOW)
    assert drafted.repeated > 0.9
    assert any("different things that are alike (`data.equal_rows`)" in line for line in drafted.lines())
    path = tmp_path / "people" / "model.yaml"
    text = path.read_text()
    assert "  equal_rows: separate   # 9" in text

    def run() -> tuple[Evidence, str, str]:
        model, store = load_model(path), LocalStore(tmp_path / "store")
        done = run_chain(store, model, tmp_path / "people", NOW)
        evidence = load_evidence(store, "people", done["evaluate"]["evidence"])
        judged = judge(model.gate, evidence, challenger_is_simple=evidence.of_simple_kind)
        return evidence, done["gate"]["outcome"], judged.reason

    quick = "training:\n  candidates:\n    - {estimator: logistic_regression}\n"
    start, end = text.index("training:"), text.index("evaluation:")
    path.write_text(text[:start] + quick + text[end:])
    separate, outcome, _ = run()
    assert (outcome, separate.units.of) == ("PROMOTE", "row")
    assert separate.scores["challenger"]["roc_auc"].value > 0.75
    path.write_text(path.read_text().replace("equal_rows: separate", "equal_rows: together"))
    together, outcome, reason = run()
    assert outcome == "HOLD" and together.units.of == EQUAL_ROWS and together.units.count < 10
    assert "equal rows are on one side" in reason and "`data.equal_rows: separate`" in reason
    assert any(f"{together.units.count} are different" in note for note in together.notes)
