"""A cost function as the primary metric: training, threshold, gate and every repetition go by what it says of each row."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import NOW, declare, month, parcels, run_chain

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.evaluation import BusinessCost
from include.config.sections.training import Threshold
from include.data.frames import read_rows
from include.data.snapshots import Snapshot
from include.errors import ConfigError, EvaluationError
from include.evaluation.compared_models import open_model
from include.registry.history.policy_replay import replay
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.registry.version_states import Outcome as Decided
from include.registry.versions import fit_of, load_version
from include.reproduction.report import Kind, Outcome
from include.reproduction.reproduce import reproduce
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.fit_record import FitRecord
from include.training.metrics.costs import row_costs
from include.training.model_selection.decision_threshold import choose_threshold
from include.training.persistence.model_file import predict_scores

BY_WEIGHT = """
import numpy as np


def of(rows, actual, predicted):
    actual, predicted = actual.astype(bool), predicted.astype(bool)
    heavy = np.abs(rows["weight"].to_numpy())
    return np.where(actual & ~predicted, heavy / 2, 0) + np.where(~actual & predicted, 1.0, 0)
"""
LIKE_A_MATRIX = """
import numpy as np


def of(rows, actual, predicted):
    actual, predicted = actual.astype(bool), predicted.astype(bool)
    return np.where(actual & ~predicted, 10, 0) + np.where(~actual & predicted, 1, 0)
"""
FUNCTION = '{function: "costs:of", columns: [weight]}'
MATRIX = "{matrix: {true: {false: 10}, false: {true: 1}}}"


def priced(folder: Path, code: str = BY_WEIGHT, cost: str = FUNCTION, threshold: bool = True) -> ModelConfig:
    declare(folder)
    (folder / "costs.py").write_text(code)
    path = folder / "model.yaml"
    text = path.read_text().replace("resamples: 200}", f"resamples: 200, cost: {cost}, learning_curve: [0.5]}}")
    if threshold:
        text = text.replace("training:\n", "training:\n  threshold: {objective: cost}\n")
    path.write_text(text.replace("primary: {metric: roc_auc", "primary: {metric: cost"))
    return load_model(path)


class World:
    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "parcels", LocalStore(root / "store")
        self.model = load_model(self.folder / "model.yaml")
        self.ledger = Ledger(self.store, "parcels")

    def fit(self, version: str) -> FitRecord:
        return fit_of(self.store, load_version(self.store, "parcels", version))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("priced")
    model, store = priced(root / "parcels"), LocalStore(root / "store")
    for number in (4, 7):
        run_chain(store, model, root / "parcels", month(number))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> World:
    shutil.copytree(made, tmp_path / "w")
    return World(tmp_path / "w")


def test_candidates_and_gate_go_by_what_each_row_costs(world: World) -> None:
    _, second = world.ledger.timeline().standings
    version = world.ledger.version(second.version)
    fits = [fit_of(world.store, version, key) for key in version.candidates.values()]
    assert {fit.cv.metric for fit in fits if fit.cv} == {"cost"}
    assert min(fit.cv.mean for fit in fits if fit.cv) == world.fit(second.version).cv.mean  # type: ignore[union-attr]
    primary = second.decision.primary
    assert (primary["metric"], primary["against"]) == ("cost", "incumbent")
    assert second.decision.outcome.value == "PROMOTE" and 0 < primary["low"] <= primary["gain"] <= primary["high"]

    fit, measured = world.fit(second.version), world.ledger.compare(second.decision).evidence
    snapshot = Snapshot.load(world.store, "parcels", measured.snapshot)
    rows = read_rows(world.store, snapshot, world.model, world.folder, window="holdout")
    late, said = rows["late"].to_numpy(bool), predict_scores(open_model(world.store, fit), rows) >= fit.threshold
    by_hand = np.where(late & ~said, rows["weight"].abs() / 2, 0) + (~late & said)
    assert measured.scores["challenger"]["cost"].value == pytest.approx(by_hand.mean())
    assert max(one.loss or 0 for one in measured.importance) > 0
    assert all(point.score.value is not None for point in measured.learning)


def test_a_function_that_says_what_a_matrix_says_gives_the_same_model(tmp_path: Path) -> None:
    found = []
    for name, cost in (("matrix", MATRIX), ("function", FUNCTION)):
        folder, store = tmp_path / name / "parcels", LocalStore(tmp_path / name / "store")
        model = priced(folder, LIKE_A_MATRIX, cost)
        run_chain(store, model, folder, month(4))
        ledger = Ledger(store, "parcels")
        (standing,) = ledger.timeline().standings
        fit, evidence = fit_of(store, ledger.version(standing.version)), ledger.compare(standing.decision).evidence
        gain = evidence.gain("cost", "simple")
        found.append((fit.cv, fit.threshold, fit.model_file, evidence.scores["challenger"]["cost"].value, fit.key))
        assert gain is not None and gain.estimate is not None
    assert found[0][:-1] == found[1][:-1] and found[0][-1] != found[1][-1]


def test_the_threshold_costs_least_of_all_thresholds(world: World) -> None:
    version = world.ledger.timeline().standings[0].version
    cut = world.fit(version).threshold
    assert cut is not None and cut < 0.5, "a heavy parcel that is missed costs more than a false alarm"
    rng = np.random.default_rng(0)
    target, scores, weights = rng.integers(0, 2, 60), rng.random(60).round(1), rng.random(60)
    costs = rng.normal(size=(60, 2))

    def total(cut: float) -> float:
        return float((weights * np.where(scores >= cut, costs[:, 1], costs[:, 0])).sum())

    chosen = choose_threshold(Threshold(objective="cost"), target, scores, weights, costs)
    assert total(chosen) == pytest.approx(min(map(total, [*np.unique(scores), 2.0])))


def test_a_version_is_reproduced_replayed_and_verified_by_the_code_that_priced_it(world: World) -> None:
    (world.folder / "costs.py").write_text(BY_WEIGHT.replace("heavy / 2", "heavy / 9"))
    version = world.ledger.timeline().standings[-1].version
    report = reproduce(world.store, world.model, world.folder, version, at=NOW, connections=None)  # type: ignore[arg-type]
    assert report.outcome is Outcome.IDENTICAL and report.reproduced
    assert [(one.kind, one.name) for one in report.differences] == [(Kind.CODE, "costs.py")]
    assert {finding.state for finding in verify(world.ledger, world.folder)} <= {"ok", "note"}
    assert [one.outcome for one in replay(world.ledger, world.model.gate)] == [Decided.PROMOTE] * 2


def test_other_code_is_another_fit_and_other_functions_change_none(world: World) -> None:
    recipe = recipe_of(world.model, "decision_tree")
    assert {*recipe.code(world.folder)} == {"features.py", "costs.py"} and "weight" in recipe.columns
    snapshot = Snapshot.load(world.store, "parcels", world.fit(world.ledger.timeline().standings[0].version).snapshot)
    before = recipe.key(world.folder, snapshot)
    (world.folder / "costs.py").write_text(BY_WEIGHT.replace("1.0", "3.0"))
    assert recipe.key(world.folder, snapshot) != before
    plain = recipe_of(declare(world.folder.parent / "plain" / "parcels"), "decision_tree")
    assert {*plain.code(world.folder)} == {"features.py"} and plain.cost is None


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("def of(rows, actual, predicted):\n    return predicted.astype(float) * predicted.sum()\n", "other rows"),
        ("def of(rows, actual, predicted):\n    return [1.0]\n", "number for each row"),
        ("def of(rows, actual, predicted):\n    raise KeyError('weight')\n", "raises KeyError"),
    ],
)
def test_a_function_that_does_not_price_each_row_by_itself_is_refused(tmp_path: Path, code: str, expected: str) -> None:
    (tmp_path / "costs.py").write_text(code)
    declared, rows = BusinessCost(function="costs:of", columns=("weight",)), pd.DataFrame({"weight": [1.0, 2, 3]})
    with pytest.raises(EvaluationError, match=expected):
        row_costs(declared, tmp_path, rows, np.array([0, 1, 1]), (False, True))


def test_a_function_that_works_in_place_changes_no_prediction(tmp_path: Path) -> None:
    code = "def of(rows, actual, predicted):\n    predicted -= actual\n    actual *= 0\n    return abs(predicted)\n"
    (tmp_path / "costs.py").write_text(code)
    declared, rows = BusinessCost(function="costs:of", columns=("weight",)), pd.DataFrame({"weight": [1.0, 2, 3]})
    actual, predicted = np.array([1.0, 2, 3]), np.array([1.0, 5, 3])
    assert list(row_costs(declared, tmp_path, rows, actual, None).of(predicted, None)) == [0, 3, 0]
    assert (list(actual), list(predicted)) == ([1, 2, 3], [1, 5, 3])


def test_a_regression_is_chosen_and_judged_by_what_its_errors_cost(tmp_path: Path) -> None:
    folder, store = tmp_path / "parcels", LocalStore(tmp_path / "store")
    rows = parcels()
    rng = np.random.default_rng(1)
    far = rows["distance"].fillna(450) > 450
    rows = rows.assign(late=20.0 * far + rows["weight"].abs() + rng.gamma(2, 4, len(rows)))
    declare(folder, rows)
    (folder / "costs.py").write_text(
        "import numpy as np\n\n\ndef of(rows, actual, predicted):\n"
        "    short = actual - predicted\n"
        '    return np.where(short > 0, np.abs(rows["weight"].to_numpy()) * short, -short)\n'
    )
    path = folder / "model.yaml"
    text = path.read_text().replace("metrics: [roc_auc, brier]", "metrics: [mae]")
    text = text.replace("task: classification", "task: regression")
    text = text.replace("resamples: 200}", f"resamples: 200, cost: {FUNCTION}, learning_curve: [0.5]}}")
    text = text.replace("logistic_regression", "ridge").replace("carrier, metric: roc_auc", "carrier, metric: mae")
    path.write_text(text.replace("primary: {metric: roc_auc", "primary: {metric: cost").replace("0.1, min", "9, min"))
    model = load_model(path)
    run_chain(store, model, folder, month(4))
    ledger = Ledger(store, "parcels")
    (standing,) = ledger.timeline().standings
    fit, evidence = fit_of(store, ledger.version(standing.version)), ledger.compare(standing.decision).evidence
    assert fit.cv is not None and fit.cv.metric == "cost" and fit.cv.mean > 0
    snapshot = Snapshot.load(store, "parcels", evidence.snapshot)
    held = read_rows(store, snapshot, model, folder, window="holdout")
    short = held["late"].to_numpy() - predict_scores(open_model(store, fit), held)
    by_hand = np.where(short > 0, held["weight"].abs() * short, -short)
    assert evidence.scores["challenger"]["cost"].value == pytest.approx(by_hand.mean())
    assert max(one.loss or 0 for one in evidence.importance) > 0
    assert all(point.score.value is not None for point in evidence.learning)


def test_a_threshold_by_costs_needs_costs(tmp_path: Path) -> None:
    folder: Any = tmp_path / "parcels"
    declare(folder)
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace("training:\n", "training:\n  threshold: {objective: cost}\n"))
    with pytest.raises(ConfigError, match=r"expected `evaluation\.cost` together with the threshold"):
        load_model(path)


def test_a_canary_release_is_not_judged_by_costs(tmp_path: Path) -> None:
    folder = tmp_path / "parcels"
    priced(folder)
    path = folder / "model.yaml"
    serving = "serving: {request_log: {}, challenger: {version: held, traffic: 0.1, by: parcel}}\n"
    text = path.read_text() + serving
    path.write_text(text.replace("gate:\n", "gate:\n  canary: {max_loss: 0.1}\n"))
    with pytest.raises(ConfigError, match="found `cost`: name another `metric`"):
        load_model(path)
    path.write_text(text.replace("gate:\n", "gate:\n  canary: {metric: roc_auc, max_loss: 0.1}\n"))
    assert load_model(path).gate.canary is not None
