"""Declared behaviour: each kind of check holds, breaks and can't be asked; what breaks rejects, what can't be asked holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter
from scipy.special import expit

from include.config.sections.behaviour import Behaviour
from include.data.frames import read_rows
from include.evaluation.compared_models import open_model
from include.evaluation.explanation.behavioural_tests import MAX_BEHAVIOUR_ROWS, BehaviourInputs, behaviours_of
from include.evaluation.explanation.results import BehaviourResult
from include.evaluation.scored_rows import Scored
from include.registry.gate.verdicts import RuleResult
from include.registry.version_states import Outcome
from include.training.persistence.model_file import predict_scores
from tests.include.evaluation.parcels import LINE, Judged, judged

ROWS = 400


def raw() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "at": pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="UTC"),
            "size": np.where(np.arange(ROWS) % 4 == 0, np.nan, rng.normal(size=ROWS)),
            "count": rng.integers(0, 9, ROWS),
            "colour": pd.Categorical(rng.choice(["green", "red"], ROWS)),
            "known": rng.random(ROWS) < 0.5,
        }
    )


def derive(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(evening=frame["at"].dt.hour >= 18, double=2 * frame["size"])


def value(frame: pd.DataFrame) -> np.ndarray:
    large = np.where(frame["double"] > 3, -0.2, 0.0)  # the largest break the direction
    red = (frame["colour"] == "red").to_numpy() * 0.5
    return frame["double"].fillna(0).to_numpy() * 0.1 + red + frame["evening"].to_numpy() * 0.25 + large


def asked(task: str = "regression", rows: pd.DataFrame | None = None) -> BehaviourInputs:
    rows = raw() if rows is None else rows

    def score(frame: pd.DataFrame) -> Scored:
        if task == "clustering":
            return Scored((value(frame) > 0.3).astype(float), None)
        if task == "classes":
            each = np.exp(np.column_stack([value(frame), -value(frame), np.zeros(len(frame))]))
            return Scored(each / each.sum(axis=1, keepdims=True), None)
        return Scored(value(frame), None) if task == "regression" else Scored(expit(value(frame)), 0.6)

    classes = {"binary": (False, True), "classes": ("a", "b", "c")}.get(task)
    return BehaviourInputs(rows, derive(rows), score(derive(rows)), derive, score, classes, task == "clustering")


def ask(kind: str, task: str = "regression", rows: pd.DataFrame | None = None, **check: Any) -> BehaviourResult:
    declared = TypeAdapter(Behaviour).validate_python({"kind": kind, "name": "n", **check})
    (found,) = behaviours_of([declared], asked(task, rows), seed=0)
    return found


def test_a_column_that_nothing_is_made_of_does_not_matter() -> None:
    found = ask("invariance", column="count", values=[0, 5])
    assert (found.state, found.rows, found.broken) == ("held", ROWS, 0)


def test_rows_whose_prediction_moves_with_a_column_break_its_invariance() -> None:
    rows = raw()
    found = ask("invariance", column="colour", values=["red"])
    assert (found.state, found.broken) == ("broken", (rows["colour"] == "green").sum())
    assert "the farthest by 0.5" in found.found
    assert ask("invariance", column="colour", values=["red", "blue"]).broken == ROWS  # a level that no row has
    assert ask("invariance", column="colour", values=["red"], tolerance=0.5).state == "held"
    share = float((rows["colour"] == "green").mean())
    assert ask("invariance", column="colour", values=["red"], may_break=share).state == "held"
    assert ask("invariance", column="colour", values=["red"], may_break=share - 0.01).state == "broken"


def test_features_are_derived_again_from_a_changed_column_and_not_from_a_derived_one() -> None:
    late = (raw()["at"].dt.hour >= 18).sum()
    assert ask("invariance", column="at", values=["2024-02-01T03:00:00"]).broken == late
    assert ask("invariance", column="evening", values=[False]).broken == late
    assert ask("invariance", column="size", values=[0.0]).broken == raw()["size"].notna().sum()


def test_of_a_clustering_rows_that_change_cluster_are_counted() -> None:
    found = ask("invariance", "clustering", column="colour", values=["red"])
    features = derive(raw())
    changes = (value(features) > 0.3) != (value(features.assign(colour="red")) > 0.3)
    assert (found.state, found.broken) == ("broken", changes.sum()) and "change cluster" in found.found


def test_of_many_classes_the_probability_that_moves_most_counts() -> None:
    assert ask("invariance", "classes", column="colour", values=["red"]).broken == (raw()["colour"] == "green").sum()
    assert ask("direction", "classes", column="size", by=1, must_not="fall").state == "unknown"


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_a_direction_is_asked_of_rows_that_have_the_number(task: str) -> None:
    rows = raw()
    large = (2 * (rows["size"] + 0.5) > 3) & ~(2 * rows["size"] > 3)  # only there the prediction falls
    found = ask("direction", task, column="size", by=0.5, must_not="fall", may_break=0)
    assert (found.rows, found.broken) == (rows["size"].notna().sum(), large.sum())
    assert (found.state, found.broken > 0) == ("broken", True)
    allowed = float(large.sum() / found.rows)
    assert ask("direction", task, column="size", by=0.5, must_not="fall", may_break=allowed).state == "held"
    assert ask("direction", task, column="size", by=0.5, must_not="rise").broken == found.rows - found.broken
    assert ask("direction", task, column="size", by=-0.5, must_not="rise", tolerance=0.3, may_break=0).state == "held"


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        ({"at_least": 0.49}, "held"),
        ({"at_least": 0.51}, "broken"),
        ({"at_most": 0.51}, "held"),
        ({"at_most": 0.49}, "broken"),
        ({"at_least": 0.2, "at_most": 0.4}, "broken"),
    ],
)
def test_a_case_must_lie_within_its_bounds(wanted: dict[str, float], state: str) -> None:
    found = ask("case", row={"colour": "red"}, **wanted)  # no size, no time: 0.5
    assert (found.state, found.rows, found.broken) == (state, 1, int(state == "broken"))
    assert "the prediction is 0.5" in found.found and "must be at" in found.found


@pytest.mark.parametrize(("task", "right", "wrong"), [("binary", True, False), ("classes", "a", "b")])
def test_a_case_must_be_said_to_be_of_its_class(task: str, right: Any, wrong: Any) -> None:
    row = {"colour": "red", "size": 1, "at": "2024-05-01T20:00:00", "known": True, "count": 3}  # 0.95 by hand
    assert ask("case", task, row=row, says=right).state == "held"
    found = ask("case", task, row=row, says=wrong)
    assert found.state == "broken" and f"is {right} with probability" in found.found


def test_a_case_names_its_class_whatever_type_the_classes_have() -> None:
    row = {"colour": "red", "size": 1, "at": "2024-05-01T20:00:00"}
    declared = TypeAdapter(Behaviour).validate_python({"kind": "case", "name": "n", "row": row, "says": 1})
    for classes in ((0, 1), (0.0, 1.0), ("0", "1")):
        (found,) = behaviours_of([declared], replace(asked("binary"), classes=classes), seed=0)
        assert found.state == "held", found.found


@pytest.mark.parametrize(
    ("check", "why"),
    [
        ({"kind": "invariance", "column": "color", "values": ["red"]}, "did you mean `colour`"),
        ({"kind": "invariance", "column": "count", "values": ["many"]}, "holds numbers, and 'many' is none"),
        ({"kind": "direction", "column": "colour", "by": 1, "must_not": "fall"}, "`colour` holds no numbers"),
        ({"kind": "case", "row": {"colr": "red"}, "at_least": 0}, "did you mean `colour`"),
        ({"kind": "case", "row": {"size": 1}, "says": "yes"}, "there is no class yes"),
    ],
)
def test_what_can_not_be_asked_is_unknown_and_says_why(check: dict[str, Any], why: str) -> None:
    found = ask(task="binary", **check)
    assert found.state == "unknown" and why in found.found


def test_a_number_that_no_row_has_and_a_derive_that_raises_are_unknown() -> None:
    assert ask("direction", rows=raw().assign(size=np.nan), column="size", by=1, must_not="fall").state == "unknown"

    def fails(frame: pd.DataFrame) -> pd.DataFrame:
        raise KeyError("Jane Doe")

    declared = TypeAdapter(Behaviour).validate_python(
        {"kind": "invariance", "name": "n", "column": "count", "values": [1]}
    )
    (found,) = behaviours_of([declared], replace(asked(), derive=fails), seed=0)
    assert found.state == "unknown" and "raises KeyError" in found.found and "Jane" not in found.found


def test_of_many_rows_a_thousand_are_asked() -> None:
    many = pd.concat([raw()] * 4, ignore_index=True)
    assert ask("invariance", rows=many, column="colour", values=["red"]).rows == MAX_BEHAVIOUR_ROWS


CHECKS = """behaviour: [
    {kind: invariance, name: by its number, column: parcel, values: [0, 999999]},
    {kind: direction, name: far is late, column: distance, by: 100, must_not: fall, may_break: 0},
    {kind: case, name: usual, row: {weight: 4, distance: 200, carrier: ant, sent_at: 2024-03-05T19:00:00}, at_most: 1}]"""


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged(tmp_path_factory.mktemp("held"), evaluation=" ".join(CHECKS.split()), candidate=LINE)


def test_what_holds_is_on_record_and_on_the_card_and_lets_pass(held: Judged) -> None:
    assert [(one.kind, one.name, one.state) for one in held.evidence.behaviours] == [
        ("invariance", "by its number", "held"),
        ("direction", "far is late", "held"),
        ("case", "usual", "held"),
    ]
    verdicts = {verdict.rule: verdict.answer for verdict in held.judgement.verdicts}
    assert verdicts["invariance by its number"] is verdicts["direction far is late"] is RuleResult.PASS
    assert ">Behavioural tests</h2>" in held.card and "far is late" in held.card


def test_a_case_is_predicted_as_a_row_of_the_source_would_be(held: Judged) -> None:
    rows = read_rows(held.store, held.snapshot, held.model, held.folder, window="holdout").iloc[[0]]
    row = rows.assign(weight=4.0, distance=200.0, carrier="ant", evening=True)
    score = predict_scores(open_model(held.store, held.fit), row)[0]
    assert f"with probability {score:.4g} of True" in held.evidence.behaviours[2].found


def test_one_broken_check_rejects_and_one_that_can_not_be_asked_holds(held: Judged, tmp_path: Path) -> None:
    direction = "{kind: direction, name: far is early, column: distance, by: 100, must_not: rise}"
    broken = judged(tmp_path / "broken", evaluation=f"behaviour: [{direction}]", candidate=LINE)
    assert broken.judgement.outcome is Outcome.REJECT
    (verdict,) = [one for one in broken.judgement.verdicts if one.rule == "direction far is early"]
    assert verdict.answer is RuleResult.FAIL and "It learned the contrary" in verdict.reason
    unknown = direction.replace("column: distance", "column: distence")
    asked_in_vain = judged(tmp_path / "unknown", evaluation=f"behaviour: [{unknown}]", candidate=LINE)
    (verdict,) = [one for one in asked_in_vain.judgement.verdicts if one.rule == "direction far is early"]
    assert verdict.answer is RuleResult.OPEN and "did you mean `distance`" in verdict.reason
    assert asked_in_vain.judgement.outcome is not Outcome.PROMOTE
