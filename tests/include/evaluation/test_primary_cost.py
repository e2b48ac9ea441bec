"""Costs as the primary metric: candidates, gate and page go by what predictions cost, and less is better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import declare, month, parcels, run_chain

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.names import METRICS
from include.config.sections.evaluation import BusinessCost
from include.errors import EvaluationError
from include.registry.ledger import Ledger
from include.registry.versions import fit_of
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.metrics.costs import RowCosts, cost_matrix, row_costs
from include.training.metrics.multiclass import value_of
from include.training.metrics.scoring import score_of

DEAR = "{matrix: {true: {false: 10}, false: {true: 1}}}"


def priced(folder: Path, cost: str = DEAR, rows: pd.DataFrame | None = None) -> ModelConfig:
    declare(folder, rows)
    path = folder / "model.yaml"
    text = path.read_text().replace("resamples: 200}", f"resamples: 200, cost: {cost}, learning_curve: [0.5]}}")
    path.write_text(text.replace("primary: {metric: roc_auc", "primary: {metric: cost"))
    return load_model(path)


def by_matrix(matrix: dict[str, dict[str, float]], target: np.ndarray, classes: tuple[str, ...]) -> RowCosts:
    return row_costs(BusinessCost(matrix=matrix), Path(), pd.DataFrame(index=range(len(target))), target, classes)


def test_the_cost_of_two_classes_is_that_of_each_kind_of_error() -> None:
    target, score = np.array([0.0, 0, 1, 1]), np.array([0.2, 0.8, 0.4, 0.9])
    costs = by_matrix({"no": {"yes": 1}, "yes": {"no": 10, "yes": -2}}, target, ("no", "yes"))
    assert value_of("cost", target, score, 0.5, costs=costs) == (0 + 1 + 10 - 2) / 4
    assert score_of("cost", target, score, 0.3, costs=costs) == (0 + 1 - 2 - 2) / 4
    assert np.isnan(value_of("cost", target, score, 0.5)) and not METRICS["cost"].greater_is_better


def test_the_cost_of_many_classes_goes_one_way_and_not_the_other() -> None:
    target, score = np.array([0.0, 2, 2, 2]), np.eye(3)[[2, 0, 1, 2]]
    costs = by_matrix({"a": {"c": 5}, "c": {"a": 1}}, target, ("a", "b", "c"))
    assert value_of("cost", target, score, None, costs=costs) == (5 + 1 + 0 + 0) / 4
    some = np.array([3, 1])
    assert value_of("cost", target[some], score[some], None, costs=costs.at(some)) == (0 + 1) / 2


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("priced")
    model, store = priced(root / "parcels"), LocalStore(root / "store")
    for number in (4, 7):
        run_chain(store, model, root / "parcels", month(number))
    return Ledger(store, "parcels")


def test_candidates_are_chosen_and_the_gate_decides_by_what_predictions_cost(judged: Any) -> None:
    first, second = judged.timeline().standings
    for standing in (first, second):
        version = judged.version(standing.version)
        fits = [fit_of(judged.store, version, key) for key in version.candidates.values()]
        assert {fit.cv.metric for fit in fits} == {"cost"} and len(fits) == 2
        assert min(fit.cv.mean for fit in fits) == fit_of(judged.store, version).cv.mean
    primary = second.decision.primary
    assert (primary["metric"], primary["against"]) == ("cost", "incumbent")
    assert np.isclose(primary["gain"], primary["other"] - primary["challenger"], atol=1e-6), "less is better"
    assert primary["low"] <= primary["gain"] <= primary["high"]
    assert second.decision.outcome.value == "PROMOTE", "what makes a parcel late turned round"


def test_importance_and_learning_curve_are_in_the_unit_of_costs(judged: Any) -> None:
    evidence = judged.compare(judged.timeline().standings[1].decision).evidence
    assert max(one.loss for one in evidence.importance) > 0
    assert all(point.score.value is not None for point in evidence.learning)


def test_other_costs_are_another_recipe_and_no_costs_are_what_they_were(tmp_path: Path) -> None:
    cheap = DEAR.replace("10", "1")
    made = [
        recipe_of(priced(tmp_path / str(n) / "parcels", cost), "decision_tree") for n, cost in enumerate((DEAR, cheap))
    ]
    assert [one.costs["True"] for one in made if one.costs] == [{"False": 10.0}, {"False": 1.0}]
    keys = [one.key_with("s" * 64, "c" * 64, {}) for one in made]
    assert keys[0] != keys[1]
    assert recipe_of(declare(tmp_path / "plain" / "parcels"), "decision_tree").costs is None


def test_a_strange_class_is_named() -> None:
    with pytest.raises(EvaluationError, match="class that the model does not know"):
        cost_matrix({"maybe": {"yes": 1}}, ("no", "yes"))


def test_many_classes_are_trained_and_judged_by_costs(tmp_path: Path) -> None:
    rows = parcels()
    late = rows["late"].map({True: "late", False: "early"})
    rows = rows.assign(late=late.mask((rows["carrier"] == "cat") & ~rows["late"], "lost"))
    matrix = "{matrix: {late: {early: 5, lost: 1}, early: {late: 1}, lost: {early: 20, late: 2}}}"
    folder, store = tmp_path / "parcels", LocalStore(tmp_path / "store")
    model = priced(folder, matrix, rows)
    run_chain(store, model, folder, month(4))
    (standing,) = Ledger(store, "parcels").timeline().standings
    primary = standing.decision.primary
    assert primary["metric"] == "cost" and primary["challenger"] < primary["other"]
    fit = fit_of(store, Ledger(store, "parcels").version(standing.version))
    assert fit.cv.metric == "cost" and fit.cv.mean > 0
