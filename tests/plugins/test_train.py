"""One candidate that can't be fitted: the others go on, and the version's record and card say what became of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from chain_run import Run, declare, month
from sklearn.tree import DecisionTreeClassifier

from include.config.load import load_model
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from include.storage.content import get_content
from include.storage.local import LocalStore
from ratchet_operators import Gate, Select, Train

TREE = "- {estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}"
BROKEN = "- {name: broken, estimator: k_neighbors, params: {n_neighbors: 100000}}"
"""Fitted, and unable to predict: there are not so many rows."""
RUN: Any = SimpleNamespace(
    run_type="backfill",
    dag_id="retrain_parcels",
    run_id="r",
    logical_date=month(4),
    run_after=month(4),
    start_date=None,
)
MISTAKEN = "- {name: broken, estimator: decision_tree, params: {max_depth: -3}}"


class Deployment:
    """A model whose rows are in and checked."""

    def __init__(self, root: Path, candidates: str) -> None:
        self.folder, self.store = root / "models" / "parcels", LocalStore(root / "store")
        declare(self.folder)
        path = self.folder / "model.yaml"
        path.write_text(path.read_text().replace(TREE, candidates))
        self.model = load_model(path)
        run, done = Run(self.model, self.folder, month(4)), {}
        for step in ("ingest", "check"):
            done = run.do(step, self.store, done)
        self.upstream = {**done["ingest"], "snapshot": done["check"]["snapshot"], "mode": "enforce"}
        self.upstream |= {"candidates": list(self.model.candidate_names)}

    def execute(self, kind: Any, **how: Any) -> Any:
        task = kind(task_id="task", model=self.model.to_json(), upstream=self.upstream, **how)
        return task.execute({"dag_run": RUN, "params": {}}), task

    def train(self) -> list[Any]:
        return [self.execute(Train, candidate=name)[0] for name in (*self.model.candidate_names, "baselines")]


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def deployed(candidates: str) -> Deployment:
        made = Deployment(tmp_path, candidates)
        monkeypatch.setenv("RATCHET_STORE", made.store.url)
        monkeypatch.setenv("RATCHET_MODELS", str(made.folder.parent))
        return made

    return deployed


@pytest.mark.parametrize(("candidate", "why"), [(BROKEN, "can't be fitted"), (MISTAKEN, "can't take this value")])
def test_a_candidate_that_can_not_be_fitted_is_on_the_card_and_the_others_go_on(
    candidate: str, why: str, deployment: Any
) -> None:
    made = deployment(f"{candidate}\n    {TREE}")
    upstream, task = made.execute(Train, candidate="broken")
    assert upstream["fits"] == {} and why in upstream["failed"]["broken"]
    assert task.news.event == "alarm" and "broken" in task.news.sentence
    selected, _ = made.execute(Select, fitted=made.train())
    version = load_version(made.store, "parcels", selected["version"])
    assert version.failed == upstream["failed"] and version.candidate != "broken"
    made.upstream = selected
    ledger = Ledger(made.store, "parcels")
    ledger.measure(made.model, version.id, evaluator(made.store, made.folder, threads=1))
    pushed: dict[str, Any] = {}
    task = Gate(task_id="gate", model=made.model.to_json(), upstream=selected, promote="p", approve="a", keep="k")
    task.do_branch = lambda context, road: None  # type: ignore[method-assign] # there is no DAG here to go on in
    ti = SimpleNamespace(xcom_push=lambda key, value: pushed.update(value))
    task.execute({"dag_run": RUN, "params": {}, "ti": ti})  # type: ignore[typeddict-item]
    card = get_content(made.store, "parcels/cards", ".html", pushed["card"].rpartition("/")[2]).decode()
    assert "The candidate broken was not fitted" in card


def test_if_none_can_be_fitted_the_run_fails_and_says_why(deployment: Any) -> None:
    made = deployment(BROKEN)
    path = made.folder / "model.yaml"
    path.write_text(path.read_text().replace("- {estimator: logistic_regression}\n", ""))
    made.model = load_model(path)
    made.upstream |= {"config": None, "candidates": ["broken"]}
    made.upstream["config"] = Train(task_id="t", model=made.model.to_json(), candidate="broken")._configure()[1]
    fitted = made.train()
    assert set(fitted[-1]["fits"]) == {"trivial", "simple"}
    with pytest.raises(AirflowFailException, match="no candidate was fitted") as caught:
        made.execute(Select, fitted=fitted)
    assert "broken: `k_neighbors` can't be fitted" in str(caught.value.__context__)  # as the log has it


@pytest.mark.parametrize("error", [OSError("disk"), MemoryError()])
def test_what_is_no_fault_of_the_candidate_fails_its_task(
    error: Exception, deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployment(TREE)

    def fit(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(DecisionTreeClassifier, "fit", fit)
    with pytest.raises(type(error)):
        made.execute(Train, candidate="decision_tree")
    error_of_a_library = type("BoosterError", (Exception,), {})("bad")

    def fit_by_library(*_: Any, **__: Any) -> None:
        raise error_of_a_library

    monkeypatch.setattr(DecisionTreeClassifier, "fit", fit_by_library)
    assert "can't be fitted" in made.execute(Train, candidate="decision_tree")[0]["failed"]["decision_tree"]
