"""What a challenger looks at: weights of linear models, partial dependence, and which columns decide about clusters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.inspection import partial_dependence as as_scikit_learn
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeRegressor

from include.evaluation.compared_models import open_model
from include.evaluation.explanation.coefficients import MAX_COEFFICIENTS, linear_model
from include.evaluation.explanation.partial_dependence import (
    GRID_POINTS,
    MAX_AVERAGED_ROWS,
    MAX_CATEGORIES,
    MAX_COLUMNS,
    partial_dependence,
)
from include.evaluation.explanation.permutation_importance import permutation_importance
from include.evaluation.explanation.results import Coefficient, Dependence, Importance, LinearModel
from include.training.estimators.calibration import CalibratedClassifier
from include.training.estimators.meta_estimator import as_pipeline
from tests.include.evaluation.examples import example_evidence
from tests.include.evaluation.parcels import LINE, Judged, judged
from tests.include.evaluation.report.test_card import card, parsed


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged(tmp_path_factory.mktemp("linear"), candidate=LINE)


def rows(count: int = 800) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "metres": rng.normal(0, 1000, count),
            "size": rng.normal(size=count),
            "colour": pd.Categorical(rng.choice([f"c{n:02}" for n in range(20)], count)),
            "known": rng.random(count) < 0.3,
            "at": pd.date_range("2024-01-01", periods=count, tz="UTC"),
        }
    )


def fitted(estimator: Any, target: np.ndarray, scale: bool = False) -> Pipeline:
    frame = rows()
    step = StandardScaler() if scale else "passthrough"
    prepare = ColumnTransformer([("numeric", step, ["metres", "size"])])
    return Pipeline([("prepare", prepare), ("estimator", estimator)]).fit(frame[["metres", "size"]], target)


def test_weights_of_a_linear_challenger_are_on_record_by_the_names_of_its_prepared_columns(linear: Judged) -> None:
    pipeline, found = open_model(linear.store, linear.fit), linear.evidence.linear
    weights = dict(zip(pipeline[:-1].get_feature_names_out(), pipeline[-1].coef_[0], strict=True))
    assert {one.column for one in found.largest} == {name.partition("__")[2] for name in weights}
    assert {"weight", "distance", "evening"} < {one.column for one in found.largest}
    for one in found.largest:
        (own,) = [weight for name, weight in weights.items() if name.endswith(f"__{one.column}")]
        assert one.weights == (pytest.approx(own),)
    assert found.columns == len(weights) and found.intercept == (pytest.approx(pipeline[-1].intercept_[0]),)
    assert ">Coefficients</h2>" in linear.card and "its log-odds is a sum" in linear.card


def test_weights_are_ranked_by_what_they_move_and_not_by_the_unit_of_their_column() -> None:
    frame = rows()
    found = linear_model(fitted(Ridge(), 0.01 * frame["metres"] + frame["size"]), frame, classes=0, seed=0)
    assert [one.column for one in found.largest] == ["metres", "size"]
    first, second = found.largest
    assert first.weights[0] < second.weights[0]
    assert first.spread == pytest.approx(frame["metres"].std(ddof=0)) and second.spread == pytest.approx(1, abs=0.05)


def test_a_calibrated_linear_model_is_looked_through_and_others_have_no_weights() -> None:
    frame, target = rows(), rows()["size"].to_numpy() > 0
    inner = fitted(LogisticRegression(), target, scale=True)
    around = as_pipeline(CalibratedClassifier(inner, [], 2), ("metres", "size"))
    assert linear_model(around, frame, classes=2, seed=0) == linear_model(inner, frame, classes=2, seed=0)
    assert linear_model(fitted(DecisionTreeRegressor(), target), frame, classes=2, seed=0) is None
    three = np.digitize(frame["size"], [-1, 1, 2])
    assert linear_model(fitted(SVC(kernel="linear"), three, scale=True), frame, classes=4, seed=0) is None  # of pairs
    classes = linear_model(fitted(LogisticRegression(), three, scale=True), frame, classes=4, seed=0)
    assert len(classes.largest[0].weights) == 4


def test_of_many_weights_the_largest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.evaluation.explanation.coefficients.MAX_COEFFICIENTS", 1)
    found = linear_model(fitted(Ridge(), rows()["size"]), rows(), classes=0, seed=0)
    assert (len(found.largest), found.columns) == (1, 2) and MAX_COEFFICIENTS == 40


def importance(*columns: str) -> list[Importance]:
    return [Importance(column, 0.1, 0.0) for column in columns]


def test_partial_dependence_is_that_of_scikit_learn() -> None:
    frame = rows()
    model = fitted(DecisionTreeRegressor(max_depth=4), frame["size"] * (frame["metres"] > 300))
    found = partial_dependence(model.predict, frame[["metres", "size"]], importance("size", "metres"), seed=0)
    sample = frame.iloc[np.sort(np.random.default_rng(0).permutation(len(frame))[:MAX_AVERAGED_ROWS])][
        ["metres", "size"]
    ]
    assert [one.column for one in found] == ["size", "metres"]
    for one in found:
        grid = np.array(one.numbers)
        theirs = as_scikit_learn(model, sample, [one.column], method="brute", custom_values={one.column: grid})
        assert len(grid) == GRID_POINTS
        assert [value for (value,) in one.predicted] == pytest.approx(theirs["average"][0])
        assert (grid[0], grid[-1]) == pytest.approx(tuple(frame[one.column].quantile([0.05, 0.95])))


def test_levels_are_the_most_frequent_and_truth_values_both_and_times_are_left_out() -> None:
    frame = rows()

    def predict(asked: pd.DataFrame) -> np.ndarray:
        return np.column_stack([asked["colour"].astype(str).str[1:].astype(float), asked["known"].astype(float)])

    found = {one.column: one for one in partial_dependence(predict, frame, importance("colour", "known", "at"), seed=0)}
    assert set(found) == {"colour", "known"}
    counts = frame["colour"].value_counts()
    assert len(found["colour"].levels) == MAX_CATEGORIES
    assert min(counts[list(found["colour"].levels)]) >= max(counts.drop(list(found["colour"].levels)))
    assert [first for first, _ in found["colour"].predicted] == [float(level[1:]) for level in found["colour"].levels]
    truth = dict(zip(found["known"].levels, found["known"].predicted, strict=True))
    assert truth["True"][1] == 1 and truth["False"][1] == 0


def test_only_a_few_columns_that_matter_are_looked_at() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 6)), columns=list("abcdef"))
    ranked = [*importance(*"abcde"), Importance("f", 0.0, 0.0)]
    found = partial_dependence(lambda asked: asked["a"].to_numpy(), frame, ranked, seed=0)
    assert [one.column for one in found] == list("abcd") and len(found) == MAX_COLUMNS
    assert partial_dependence(lambda asked: asked["a"].to_numpy(), frame, ranked[-1:], seed=0) == ()


def test_of_a_clustering_the_share_of_rows_that_change_cluster_is_what_a_column_loses() -> None:
    frame = rows()[["metres", "size"]]
    found = permutation_importance(
        lambda asked: (asked["size"].to_numpy() > 0).astype(float),
        frame,
        np.zeros(len(frame)),
        ["metres", "size"],
        None,
        None,
        seed=0,
    )
    losses = {one.column: one.loss for one in found}
    assert losses["metres"] == 0 and losses["size"] == pytest.approx(0.5, abs=0.05)


def test_the_card_draws_dependence_and_weights_safely(tmp_path: Path) -> None:
    hostile = "<script>{{ 7 * 7 }}"
    evidence = replace(
        example_evidence(),
        classes=("False", "True"),
        linear=LinearModel(90, (0.1,), tuple(Coefficient(f"{hostile}{n}", (0.5 - n,), 1.0) for n in range(20))),
        dependence=(
            Dependence(hostile, ((0.1,), (0.4,), (0.2,)), numbers=(1.0, 2.0, 3.0)),
            Dependence("origin", ((0.3,), (0.2,)), levels=("EWR", hostile)),
        ),
    )
    html = card(evidence)
    page = parsed(html)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert "Mean probability of True" in html and "4 more" in html and "sum of 90 prepared columns" in html
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_of_many_classes_the_one_that_moves_most_is_drawn() -> None:
    evidence = replace(
        example_evidence(),
        classes=("a", "b", "c"),
        dependence=(Dependence("tone", ((0.3, 0.4, 0.3), (0.3, 0.1, 0.6)), numbers=(0.0, 1.0)),),
        linear=LinearModel(1, (0.0, 0.0, 0.0), (Coefficient("tone", (0.5, -1.0, 0.25), 2.0),)),
    )
    html = card(evidence)
    assert "Mean probability of b" in html
    assert "\N{MINUS SIGN}2.0000" in html and "which is shown for each class" in html
