"""What a measurement had to do without: partitions that have no rows, and rows of the holdout that have no label."""

from __future__ import annotations

from pathlib import Path

import pytest
from calls import World

from include.config.load import load_model
from include.config.sections.evaluation import Unlabelled
from include.errors import ConfigError
from include.evaluation.evidence import Evidence, TrainCoverage, UnlabelledRows
from include.evaluation.report.card import render_card
from include.registry.gate.judgement import judge
from include.registry.gate.verdicts import RuleResult, Verdict

SLICE = ", slices: [{column: tone, edges: [0], name: mood}]"


def test_a_window_that_is_longer_than_the_data_is_counted_and_below_the_declared_share_the_gate_holds(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "a", ["no", "yes"], "accuracy", train="60mo", data="min_coverage: 0.5")
    evidence, done = world.run(8)
    assert evidence.coverage == TrainCoverage(60, 6, 0.5)
    assert done["gate"]["outcome"] == "HOLD"
    reason = judge(world.model.gate, evidence, challenger_is_simple=True).reason
    assert "at least 50% of the training window has rows: 6 of 60 partitions have rows (10%)" in reason
    page = render_card(evidence, title="t", verdict="v", rules=[], lineage={})
    assert "6 of 60 partitions have rows (10 %), declared are at least 50 %" in page
    plain = World(tmp_path / "b", ["no", "yes"], "accuracy", train="60mo")
    evidence, done = plain.run(8)
    assert (evidence.coverage, done["gate"]["outcome"]) == (TrainCoverage(60, 6, None), "PROMOTE")


def test_labels_that_are_missing_not_at_random_hold_the_gate_in_all_and_by_slice(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy", evaluation=SLICE, gate=", unlabelled: {at_most: 0.1}")
    march, no = world.rows["at"].dt.month == 3, world.rows["desk"] == "no"
    one_in_twelve = world.rows.index[march & no][::12]
    world.rows.loc[march & no & ~world.rows.index.isin(one_in_twelve), "desk"] = None
    evidence, done = world.run(4)
    rows = world.rows[march]
    missing, low = rows["desk"].isna(), rows["tone"] < 0
    assert evidence.unlabelled == (
        UnlabelledRows(None, len(rows), int(missing.sum())),
        UnlabelledRows(("mood", "below 0"), int(low.sum()), int(missing[low].sum())),
        UnlabelledRows(("mood", "0 or more"), int((~low).sum()), int(missing[~low].sum())),
    )
    assert evidence.holdout.rows == len(rows) - missing.sum()
    assert done["gate"]["outcome"] == "HOLD"
    page = render_card(evidence, title="t", verdict="v", rules=[], lineage={})
    assert "Rows without a label" in page and "mood: below 0" in page

    def asked(at_most: float | None) -> list[Verdict]:
        rule = None if at_most is None else Unlabelled(at_most=at_most)
        policy = world.model.gate.model_copy(update={"unlabelled": rule})
        verdicts = judge(policy, evidence, challenger_is_simple=True).verdicts
        return [one for one in verdicts if "without a label" in one.rule]

    assert asked(None) == [] and [one.answer for one in asked(0.95)] == [RuleResult.PASS]
    # Of all rows few enough are missing, of one part too many: that part is named.
    (verdict,) = asked(0.6)
    assert verdict.answer is RuleResult.OPEN and "where mood is below 0 have none" in verdict.reason


def test_evidence_from_before_they_were_counted_opens_and_a_rule_that_asks_holds(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy", gate=", unlabelled: {at_most: 0.1}")
    evidence, done = world.run(4)
    assert done["gate"]["outcome"] == "PROMOTE" and evidence.unlabelled == (
        UnlabelledRows(None, evidence.holdout.rows, 0),
    )
    stored = {name: value for name, value in evidence.to_json().items() if name not in ("coverage", "unlabelled")}
    old = Evidence.from_json(stored)
    assert (old.coverage, old.unlabelled) == (None, None)
    held = judge(world.model.gate, old, challenger_is_simple=True)
    assert held.outcome == "HOLD" and "not counted" in held.reason


def test_a_table_without_time_has_no_window_to_cover(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy", data="min_coverage: 0.5")
    path = world.folder / "model.yaml"
    text = path.read_text().replace("  event_time: at\n", "").replace("  windows: {train: 2mo, holdout: 1mo}\n", "")
    path.write_text(text.replace("kind: time_series", "kind: k_fold"))
    with pytest.raises(ConfigError, match="expected no `min_coverage` without `event_time`"):
        load_model(path)
