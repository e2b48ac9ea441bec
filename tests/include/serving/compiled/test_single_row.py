"""Whatever is compiled gives the pipeline's numbers; what can't be says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from chain_run import parcels

from include.config.load import load_model
from include.config.sections.features import Features
from include.config.sections.training import Candidate
from include.config.yaml_text import read_yaml
from include.data.columns.conversion import ARROW
from include.registry.ledger import Ledger
from include.scoring.attributions import NotAttributable, attribute
from include.scoring.predictor import Predictions, Predictor, open_predictor
from include.serving.compiled.not_compiled import NotCompiled
from include.serving.compiled.single_row import SingleRow, joined, strange_rows
from include.serving.protocol.bodies import answer_rows, answer_table
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.fit_pipeline import fit_model
from include.training.fit_record import PredictionInterval
from include.training.input_domain import fit_input_domain
from include.training.training_rows import training_rows

ESTIMATORS = {
    "logistic_regression": "{}",
    "hist_gradient_boosting": "{max_iter: 20}",
    "lightgbm": "{n_estimators: 20}",
    "xgboost": "{n_estimators: 20}",
    "catboost": "{n_estimators: 20}",
    "keras_mlp": "{layers: [8], epochs: 5}",
    "random_forest": "{n_estimators: 10, max_depth: 6}",
    "extra_trees": "{n_estimators: 10, max_depth: 6}",
    "decision_tree": "{max_depth: 5}",
    "gradient_boosting": "{n_estimators: 10}",
    "naive_bayes": "{}",
}
"""Classifiers; what has no form of its own is asked as it is, on columns that are prepared without a frame."""
NUMERIC = {
    "plain": "{columns: [weight, distance]}",
    "clipped": "{columns: [weight, distance], outliers: {method: iqr, action: clip, factor: 3}, skew: log, scale: robust}",
    "powers": "{columns: [weight, distance], skew: power, scale: min_max, degree: 2}",
    "marked": "{columns: [weight, distance], outliers: {method: z_score, action: mark_missing}, indicator: true, impute: mean}",
}
ENCODINGS = ("one_hot", "native", "ordinal", "target")


@dataclass(frozen=True)
class Fits:
    """One opened version, whose rows other recipes are fitted to."""

    base: Predictor
    rows: pd.DataFrame

    def __call__(self, estimator: str, numeric: str, encode: str = "one_hot", **more: Any) -> Predictor:
        """Return a predictor of raw columns, fitted to 400 rows of which some have no carrier."""
        groups = {
            "numeric": read_yaml(NUMERIC[numeric], "numeric")[0],
            "categorical": {"columns": ["carrier"], "encode": encode},
        }
        features = Features.model_validate({**groups, **more})
        candidate = {"name": estimator, "estimator": estimator, "params": read_yaml(ESTIMATORS[estimator], "params")[0]}
        training = self.base.model.training.model_copy(update={"candidates": (Candidate.model_validate(candidate),)})
        model = self.base.model.model_copy(update={"features": features, "training": training})
        recipe = recipe_of(model, estimator)
        rows = training_rows(self.rows, recipe)
        fit = replace(self.base.fit, columns=recipe.inputs, threshold=0.5, classes=rows.classes)
        pipeline = fit_model(recipe, recipe.settings, rows)
        domain = fit_input_domain(features, self.rows)
        return replace(self.base, model=model, fit=fit, pipeline=pipeline, domain=domain, derive=None)

    def asked(self) -> pa.Table:
        """Return rows to predict: real ones, and some that are like none that was fitted."""
        schema = pa.schema([(name, ARROW[kind]) for name, kind in self.base.schema.items()])
        rows = pa.Table.from_pandas(self.rows[list(self.base.schema)].head(100), schema=schema, preserve_index=False)
        return pa.concat_tables([rows, strange_rows(rows, 1), strange_rows(rows, 2)])


@pytest.fixture(scope="module")
def fits(trained_once: Path) -> Iterator[Fits]:
    store, model = LocalStore(trained_once / "store"), load_model(trained_once / "parcels" / "model.yaml")
    version = Ledger(store, "parcels").timeline().champion
    assert version is not None
    rows = parcels(rows=400)
    rows.loc[::17, "carrier"] = None
    with open_predictor(store, model, trained_once / "parcels", version) as base:
        yield Fits(base, rows)


@pytest.fixture(scope="module", params=ESTIMATORS)
def predictor(fits: Fits, request: pytest.FixtureRequest) -> Predictor:
    """One of each estimator, which nobody may change."""
    return fits(request.param, "plain", "native" if request.param == "hist_gradient_boosting" else "one_hot")


def test_each_estimator_gives_the_same_numbers_for_a_row_alone(fits: Fits, predictor: Predictor) -> None:
    rows, single = fits.asked(), SingleRow(predictor)
    single.verify(predictor, rows)
    expected = predictor.predict(predictor.inputs(rows))
    found = joined(predictor.fit, [single(row) for row in rows.to_pylist()])
    np.testing.assert_allclose(found.score, expected.score, rtol=1e-12)
    assert found.label is not None and found.label.equals(expected.label)
    assert (found.out_of_domain == expected.out_of_domain).all()
    assert len(np.unique(expected.score)) > 5


@pytest.mark.parametrize("numeric", NUMERIC)
@pytest.mark.parametrize("encode", ENCODINGS)
def test_each_preparation_gives_the_same_numbers_for_a_row_alone(fits: Fits, numeric: str, encode: str) -> None:
    predictor = fits("hist_gradient_boosting", numeric, encode)
    SingleRow(predictor).verify(predictor, fits.asked())


def test_columns_of_many_levels_give_the_same_numbers(fits: Fits) -> None:
    rows = fits.rows.copy()
    level = np.random.default_rng(5).integers(40, size=len(rows))
    rows["carrier"] = [f"carrier {number:02}" for number in level]
    rows["late"] = level % 3 == 0  # so that trees divide the levels
    many = replace(fits, rows=rows)
    predictor, asked = many("hist_gradient_boosting", "plain", "native"), many.asked()
    SingleRow(predictor).verify(predictor, asked)
    assert len(set(asked["carrier"].to_pylist())) > 35
    assert np.ptp(predictor.predict(predictor.inputs(asked)).score) > 0.5


def test_forests_of_many_nodes_give_the_same_numbers(fits: Fits, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.serving.compiled.estimators._ALL_AT_ONCE", 0)
    predictor = fits("random_forest", "plain")
    SingleRow(predictor).verify(predictor, fits.asked())


def test_a_difference_is_found(fits: Fits) -> None:
    predictor = fits("logistic_regression", "plain")
    single = SingleRow(predictor)
    single.verify(predictor, fits.asked())
    predictor.pipeline[-1].coef_ = predictor.pipeline[-1].coef_ + 1e-3
    with pytest.raises(NotCompiled, match="another prediction"):
        single.verify(predictor, fits.asked())


def test_what_has_no_compiled_form_is_said_so(fits: Fits) -> None:
    predictor = fits("logistic_regression", "plain", dates=[{"columns": ["sent_at"], "parts": ["hour"]}])
    with pytest.raises(NotCompiled, match="DatetimeFeatures"):
        SingleRow(predictor)
    derived = replace(predictor, derive=lambda frame: frame)
    with pytest.raises(NotCompiled, match=r"features\.derive"):
        SingleRow(derived)


ATTRIBUTED = ("logistic_regression", "hist_gradient_boosting", "random_forest", "extra_trees", "decision_tree")


@pytest.mark.parametrize("estimator", ATTRIBUTED)
def test_contributions_add_up_to_the_prediction(fits: Fits, estimator: str) -> None:
    predictor = fits(estimator, "clipped", "native" if estimator == "hist_gradient_boosting" else "one_hot")
    frame = predictor.inputs(fits.asked())
    found = attribute(predictor, frame)
    score = predictor.predict(frame).score
    wanted = np.log(score / (1 - score)) if found.scale == "log-odds" else score
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=1), wanted, atol=1e-9)
    assert found.contributions.shape == (len(frame), 3) and (np.abs(found.contributions).max(axis=0) > 0).all()


def test_only_the_column_that_a_tree_asks_contributes(fits: Fits) -> None:
    predictor = fits("decision_tree", "plain")
    frame = predictor.inputs(fits.asked())
    tree = predictor.pipeline[-1].tree_
    asked = {predictor.pipeline[0].get_feature_names_out()[place] for place in tree.feature[tree.feature >= 0]}
    found = attribute(predictor, frame)
    for place, column in enumerate(predictor.fit.columns):
        contributes = bool((found.contributions[:, place] != 0).any())
        assert contributes == any(column in name for name in asked), column


@pytest.mark.parametrize(("estimator", "numeric"), [("naive_bayes", "plain"), ("logistic_regression", "powers")])
def test_what_has_no_contributions_that_add_up_is_refused(fits: Fits, estimator: str, numeric: str) -> None:
    predictor = fits(estimator, numeric)
    with pytest.raises(NotAttributable):
        attribute(predictor, predictor.inputs(fits.asked()))


def test_json_answers_are_the_rows_of_the_table_of_answers(fits: Fits, predictor: Predictor) -> None:
    predictions = predictor.predict(predictor.inputs(fits.asked()))
    assert predictions.out_of_domain.any()
    for one in (predictions, replace(predictions, fit=replace(predictor.fit, threshold=None))):
        answers = answer_rows(one)
        outside = [answer.pop("outside", []) for answer in answers]
        assert answers == answer_table(one).to_pylist()
        assert outside == [[name for name, mask in one.outside.items() if mask[place]] for place in range(len(answers))]


def test_json_answers_of_many_classes_and_of_intervals(fits: Fits) -> None:
    fit = fits("logistic_regression", "plain").fit
    score = np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])
    many = Predictions(replace(fit, classes=["a", "b", "c"], threshold=None), score, {})
    number = replace(
        fit, task="regression", classes=None, threshold=None, interval=PredictionInterval(0.9, -1.5, 2.0, 100)
    )
    for one in (many, Predictions(number, np.array([1.25, -3.0]), {})):
        assert answer_rows(one) == answer_table(one).to_pylist()
