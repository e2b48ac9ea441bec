"""The target of a regression: on another scale, per unit of exposure, and with bounds that hold what they promise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, QuantileTransformer

from include.config.model import ModelConfig
from include.errors import TrainingError
from include.evaluation.compared_models import CannotPredict, open_model, score_rows
from include.leakage.preparation import preparation_of_training_rows
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.fit_candidate import fit_candidate
from include.training.fit_pipeline import fit_intervals
from include.training.fit_record import FitRecord
from include.training.model_selection.conformal import conformal_offsets
from tests.include.training.conftest import declare, fit_at_once, frame_of, rows_of, snapshot_of

NUMBERS = {"numeric": {"columns": ["size", "weight"], "impute": "median", "scale": "standard"}}
BY_SCIKIT_LEARN = {
    "log1p": FunctionTransformer(np.log1p, np.expm1),
    "box_cox": PowerTransformer("box-cox"),
    "yeo_johnson": PowerTransformer("yeo-johnson"),
    "quantile": QuantileTransformer(n_quantiles=400, output_distribution="normal", subsample=None, random_state=0),
}


def model(estimator: str = "ridge", params: Any = None, features: Any = NUMBERS, **training: Any) -> ModelConfig:
    candidates = [{"estimator": estimator, "params": params or {}}]
    cv = {"kind": "k_fold", "folds": 4}
    return declare("regression", features=features, training={"candidates": candidates, "cv": cv, **training})


@pytest.mark.parametrize("transform", BY_SCIKIT_LEARN)
def test_a_transformed_target_is_predicted_in_its_own_unit_as_scikit_learn_does(transform: str) -> None:
    frame = frame_of("regression").assign(target=lambda rows: np.exp(rows["target"]))
    fitted = fit_at_once(model(target={"transform": transform}), frame)
    matrix = fitted[0].transform(frame[["size", "weight"]])
    oracle = TransformedTargetRegressor(Ridge(random_state=0), transformer=BY_SCIKIT_LEARN[transform])
    expected = oracle.fit(matrix, frame["target"].to_numpy()).predict(matrix)
    within = np.clip(expected, frame["target"].min(), frame["target"].max())
    np.testing.assert_allclose(fitted.predict(frame), within, rtol=1e-9)


@pytest.mark.parametrize("transform", BY_SCIKIT_LEARN)
def test_a_prediction_never_leaves_the_range_of_the_targets_that_were_learned(transform: str) -> None:
    frame = frame_of("regression")
    far = frame.assign(size=np.linspace(-1e9, 1e9, len(frame)))
    said = fit_at_once(model(target={"transform": transform}), frame).predict(far)
    assert (said >= frame["target"].min() - 1e-9).all()
    assert (said <= frame["target"].max() + 1e-9).all()


@pytest.mark.parametrize(
    ("transform", "value", "found"),
    [("log1p", -1.0, "1 of 400 rows at -1"), ("box_cox", 0.0, "1 of 400 rows at 0"), ("quantile", None, "one, in 400")],
)
def test_a_target_that_a_transformation_is_not_defined_for_is_refused_with_what_would_do(
    transform: str, value: float | None, found: str
) -> None:
    frame = frame_of("regression")
    frame["target"] = 3.0 if value is None else frame["target"].where(frame.index > 0, value)
    with pytest.raises(TrainingError, match="can't be transformed") as refused:
        fit_at_once(model(target={"transform": transform}), frame)
    assert found in str(refused.value)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_an_exposure_is_an_offset_of_the_logarithm(loss: str) -> None:
    rng = np.random.default_rng(1)
    frame = frame_of("regression")
    years = rng.uniform(0.1, 3, len(frame))
    rate = np.exp(0.5 * frame["size"].fillna(0))
    frame["target"] = rng.poisson(years * rate) if loss == "poisson" else rng.gamma(2, years * rate / 2)
    frame["years"] = years
    frame["target"] = frame["target"].astype(float)
    fitted = fit_at_once(model(loss, {"alpha": 0, "tol": 1e-10}, exposure="years"), frame)
    matrix = fitted[-1].model[0].transform(frame[["size", "weight"]])
    design = np.column_stack([np.ones(len(matrix)), matrix])

    def negative_log_likelihood(beta: np.ndarray) -> float:
        eta = design @ beta + np.log(years)
        y = frame["target"].to_numpy()
        return float((np.exp(eta) - y * eta).sum() if loss == "poisson" else (eta + y * np.exp(-eta)).sum())

    beta = minimize(negative_log_likelihood, np.zeros(3), method="BFGS", options={"gtol": 1e-8}).x
    np.testing.assert_allclose(fitted.predict(frame), np.exp(design @ beta) * years, rtol=1e-4)


def test_twice_the_exposure_is_twice_the_prediction_and_the_trivial_baseline_predicts_the_mean_rate() -> None:
    frame = frame_of("regression").assign(years=lambda rows: 1.0 + rows.index % 3)
    declared = model("hist_gradient_boosting", {"loss": "poisson", "max_iter": 20}, exposure="years")
    for name in ("hist_gradient_boosting", "simple"):
        fitted = fit_at_once(declared, frame, name)
        twice = fitted.predict(frame.assign(years=2 * frame["years"]))
        np.testing.assert_allclose(twice, 2 * fitted.predict(frame), rtol=1e-12)
    trivial = fit_at_once(declared, frame, "trivial")
    mean = frame["target"].sum() / frame["years"].sum()
    np.testing.assert_allclose(trivial.predict(frame), mean * frame["years"], rtol=1e-12)


def test_rows_without_an_exposure_are_neither_learned_from_nor_predicted(store: LocalStore) -> None:
    frame = frame_of("regression").assign(years=2.0)
    declared = model("poisson", exposure="years")
    with pytest.raises(TrainingError, match="no exposure") as refused:
        fit_at_once(declared, frame.assign(years=[0.0, None, *[1.0] * 398]))
    assert "2 of 400 rows" in str(refused.value)
    fit = fit_candidate(store, declared, store.root, snapshot_of(store, declared, frame), "poisson")
    assert fit.columns == ("size", "weight", "years")
    with pytest.raises(CannotPredict, match="no number for 1 of"):
        score_rows(open_model(store, fit), fit, frame.assign(years=[np.nan, *[1.0] * 399]))


@pytest.mark.parametrize(
    ("estimator", "training", "said"),
    [
        ("ridge", {"exposure": "years"}, "does not learn a logarithm"),
        ("poisson", {"target": {"transform": "log1p"}}, "learns the logarithm of the target by itself"),
        ("poisson", {"exposure": "years", "target": {"transform": "log1p"}}, "expected `target` or `exposure`"),
        ("poisson", {"exposure": "target"}, "by the target"),
    ],
)
def test_a_scale_that_candidates_can_not_learn_on_is_refused_where_it_is_declared(
    estimator: str, training: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        model(estimator, **training)


@pytest.mark.parametrize("part", ["target", "exposure", "intervals"])
def test_what_is_of_numbers_is_refused_for_classes(part: str) -> None:
    values = {"target": {"transform": "log1p"}, "exposure": "years", "intervals": {}}
    candidates = [{"estimator": "hist_gradient_boosting", "params": {"loss": "poisson"} if part == "exposure" else {}}]
    with pytest.raises(ValueError, match=f"`training.{part}` is for regression"):
        declare(training={"candidates": candidates, part: values[part]})


def test_the_relearned_preparation_equals_the_shipped_one_where_the_target_is_a_rate() -> None:
    frame = frame_of("regression").assign(years=lambda rows: 1.0 + rows.index % 3)
    features = NUMBERS | {"categorical": {"columns": ["colour"], "encode": "target"}}
    declared = model("poisson", features=features, exposure="years")
    fitted = fit_at_once(declared, frame)
    found = preparation_of_training_rows(fitted, recipe_of(declared, "poisson"), rows_of(declared, frame))
    assert found.state == "clear"


def test_the_bounds_are_order_statistics_and_too_few_rows_are_refused() -> None:
    errors = np.random.default_rng(0).permutation(np.arange(1.0, 20.0))
    assert conformal_offsets(errors, 0.9) == (1.0, 19.0)
    assert conformal_offsets(errors, 0.8) == (2.0, 18.0)
    with pytest.raises(TrainingError, match="too few held-out rows") as refused:
        conformal_offsets(errors[1:], 0.9)
    assert "19 held-out rows" in str(refused.value)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_a_new_row_lies_between_the_bounds_as_often_as_promised(coverage: float) -> None:
    rng, count, runs = np.random.default_rng(5), 99, 4000
    errors = rng.gamma(1.0, size=(runs, count + 1)) - 1.0  # skewed, so that both tails are put to the test
    bounds = np.array([conformal_offsets(row[:-1], coverage) for row in errors])
    below, above = (errors[:, -1] < bounds[:, 0]).mean(), (errors[:, -1] > bounds[:, 1]).mean()
    tail = (1 - coverage) / 2
    error = np.sqrt(tail * (1 - tail) / runs)
    assert abs(below - tail) < 3.5 * error
    assert abs(above - tail) < 3.5 * error


def test_bounds_learned_from_held_out_rows_cover_rows_of_a_model_that_learns_its_own_by_heart() -> None:
    declared = model("decision_tree", {"min_samples_leaf": 1}, intervals={"coverage": 0.8})
    recipe = recipe_of(declared, "decision_tree")
    runs, shares = 30, []
    for seed in range(runs):
        frame = frame_of("regression", rows=700, seed=seed)
        part, fresh = frame.iloc[:300], frame.iloc[300:]
        learned = fit_intervals(recipe, recipe.settings, rows_of(declared, part))
        assert learned.rows == 300
        errors = fresh["target"] - fit_at_once(declared, part).predict(fresh)
        shares.append(((errors >= learned.lower) & (errors <= learned.upper)).mean())
    # Each run's share varies with its 300 errors and its 400 rows.
    assert abs(np.mean(shares) - 0.8) < 3.5 * np.std(shares, ddof=1) / np.sqrt(runs) + 0.01


def test_bounds_stand_on_record_and_a_record_without_them_is_written_as_before(store: LocalStore) -> None:
    frame = frame_of("regression")
    plain, bounded = model(), model(intervals={"coverage": 0.8})
    snapshot = snapshot_of(store, plain, frame)
    without = fit_candidate(store, plain, store.root, snapshot, "ridge")
    record = fit_candidate(store, bounded, store.root, snapshot, "ridge")
    assert "interval" not in without.to_json()
    assert record.model_file == without.model_file
    assert record.key != without.key
    assert FitRecord.from_json(record.to_json()) == record
    assert record.interval is not None and record.interval.lower < 0 < record.interval.upper
    assert replace(recipe_of(bounded, "ridge"), coverage=None) == recipe_of(plain, "ridge")
    assert recipe_of(bounded, "simple").coverage is None


def test_a_nullable_exposure_is_read_as_numbers() -> None:
    frame = frame_of("regression").assign(years=pd.array([2] * 400, dtype="Int64"))
    assert np.isfinite(fit_at_once(model("poisson", exposure="years"), frame).predict(frame)).all()
