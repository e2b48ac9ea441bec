"""The learning curve: the challenger's recipe on fewer rows, measured as it is, and what that says of more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from include.data.frames import read_rows
from include.evaluation.compared_models import open_model
from include.evaluation.explanation.learning_curve import learning_curve
from include.evaluation.explanation.results import LearningPoint
from include.evaluation.gains import Measured
from include.evaluation.scored_rows import Scored
from include.evaluation.uncertainty.bootstrap import draw
from include.training.declared_recipes import recipe_of
from include.training.fit_inputs import FitInputs
from include.training.fit_pipeline import fit_model
from include.training.persistence.model_file import predict_scores
from include.training.provenance import Provenance
from include.training.training_rows import read_training_rows
from tests.include.evaluation.examples import example_evidence
from tests.include.evaluation.parcels import LINE, Judged, judged
from tests.include.evaluation.report.test_card import card


@pytest.fixture(scope="module")
def curved(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    return judged(tmp_path_factory.mktemp("curved"), evaluation="learning_curve: [0.05, 0.5]")


def test_points_are_measured_on_the_holdout_and_the_last_is_the_challenger(curved: Judged) -> None:
    few, half, whole = curved.evidence.learning
    assert [point.rows for point in (few, half)] == [round(share * whole.rows) for share in (0.05, 0.5)]
    assert whole.rows == curved.fit.train.rows and whole.gain is None
    assert whole.score.value == curved.evidence.scores["challenger"]["roc_auc"].value
    for point in (few, half):
        assert point.score.low < point.score.value < point.score.high
        assert point.gain.value == pytest.approx(whole.score.value - point.score.value)
    assert few.gain.low > 0  # a twentieth teaches less


def test_a_point_is_the_same_recipe_with_the_same_settings_on_a_share_of_the_rows(curved: Judged) -> None:
    recipe = recipe_of(curved.model, curved.fit.candidate)
    rows = read_training_rows(curved.store, curved.model, curved.folder, curved.snapshot, recipe)
    held = read_rows(curved.store, curved.snapshot, curved.model, curved.folder, window="holdout")
    target, score = held["late"].to_numpy(float), predict_scores(open_model(curved.store, curved.fit), held)
    with Provenance(curved.store, curved.fit, curved.folder) as origin:
        resampling = draw(np.arange(len(held)), resamples=200, seed=1)
        points = learning_curve(
            (0.3, 0.6),
            FitInputs(curved.store, origin),
            held,
            target,
            Scored(score, 0.5),
            "roc_auc",
            resampling,
            seed=7,
            threads=1,
        )
    order = np.random.default_rng(7).permutation(len(rows))
    for point in points[:2]:
        model = fit_model(recipe, curved.fit.params, rows.at(np.sort(order[: point.rows])))
        assert point.score.value == pytest.approx(roc_auc_score(target, predict_scores(model, held)))


def test_the_card_draws_the_curve_and_says_what_it_means(curved: Judged) -> None:
    assert ">Learning curve</h2>" in curved.card
    assert f"From {curved.evidence.learning[1].rows:,} to" in curved.card


def test_no_recipe_is_fitted_again_unless_that_is_asked_for(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.evaluation.explanation.learning_curve.fit_model", None)
    assert judged(tmp_path, candidate=LINE).evidence.learning == ()


def test_a_share_that_lacks_a_class_has_no_value_and_its_reason(tmp_path) -> None:
    evidence = judged(tmp_path, evaluation="learning_curve: [0.001, 0.5]", candidate=LINE).evidence
    none, half, whole = evidence.learning
    assert none.score.value is None and "a class has no row" in none.score.undefined
    assert half.score.value is not None and whole.score.value is not None


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Measured(0.02, 0.01, 0.03), "more rows still help"),
        (Measured(0.02, -0.01, 0.05), "is not shown"),
        (Measured(-0.02, -0.03, -0.01), "more rows make it worse"),
        (Measured(None, None, None, "too few rows"), "can&#39;t be told"),
    ],
)
def test_what_more_rows_do_is_said_by_the_interval_of_the_last_step(gain: Measured, said: str) -> None:
    score = Measured(0.7, 0.6, 0.8)
    points = (
        LearningPoint(0.25, 250, score, Measured(0.1, 0.09, 0.2)),
        LearningPoint(0.5, 500, score, gain),
        LearningPoint(1.0, 1000, score, None),
    )
    html = card(replace(example_evidence(), learning=points))
    assert said in html
    assert ">Learning curve</h2>" not in card(example_evidence())
