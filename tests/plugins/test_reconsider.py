"""A second look as its DAG takes it: measured and judged by one task, asked about if need be, put on record by another."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import BACKFILL, declare, month, run_chain

from include.registry import evaluator
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.storage.content import to_iso
from include.storage.local import LocalStore
from ratchet_operators import Approve, DecideAgain, Reconsider

LIVE = {**BACKFILL, "trigger": "scheduled"}


class Deployment:
    """A model with a held version, and the DAG that reconsiders it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "models" / "parcels", LocalStore(root / "store")
        self.model = declare(self.folder)
        self.ledger = Ledger(self.store, "parcels")
        for number in range(4, 13):
            run_chain(self.store, self.model, self.folder, month(number), actor=LIVE)
            newest = self.ledger.timeline().standings[-1]
            if newest.decision is not None and newest.decision.outcome is Outcome.HOLD:
                self.held, self.later = newest.version, month(number + 3)
                return
        raise AssertionError("no month was held")

    def run(self, name: str, upstream: Any = None, approval: Any = None) -> tuple[Any, set[str]]:
        """Execute one task; return what it hands over, and the tasks that it skips."""
        with DAG("reconsider_parcels", default_args={"model": self.model.to_json()}):
            reconsider = Reconsider(task_id="reconsider", decide="decide", approve="approve")
            approve = Approve(task_id="approve", upstream=upstream, approved="decide", kept="decide")
            decide = DecideAgain(task_id="decide", upstream=upstream, approval=approval)
            reconsider >> [approve, decide]
            approve >> decide
        self.task: Any = {task.task_id: task for task in (reconsider, approve, decide)}[name]
        pushed: dict[str, Any] = {}
        ti = SimpleNamespace(
            id="ti", dag_id="reconsider_parcels", run_id="r", map_index=-1, task=self.task,
            xcom_push=lambda key, value: pushed.update({key: value}),
        )  # fmt: skip
        run = SimpleNamespace(
            run_type="manual",
            logical_date=None,
            run_after=month(24),
            start_date=month(24),
            dag_id="reconsider_parcels",
            run_id="r",
        )
        params = {"version": None, "as_of": to_iso(self.later)}
        events = OutletEventAccessors()
        context: Any = {"ti": ti, "task_instance": ti, "dag_run": run, "params": params, "outlet_events": events}
        try:
            done = self.task.execute(context)
        except DownstreamTasksSkipped as skipped:
            return pushed["return_value"], {task if isinstance(task, str) else task[0] for task in skipped.tasks}
        return pushed.get("return_value", done), set()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    return Deployment(tmp_path_factory.mktemp("second_look"))


@pytest.fixture
def deployment(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("RATCHET_STORE", made.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(made.folder.parent))
    return made


def test_measuring_is_given_the_threads_that_a_task_may_compute_with(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    really = evaluator.measure

    def seen(*args: Any, **how: Any) -> Any:
        given.append(how["threads"])
        return really(*args, **how)

    monkeypatch.setattr(evaluator, "measure", seen)
    for threads in (1, 3):
        monkeypatch.setenv("RATCHET_THREADS", str(threads))
        deployment.run("reconsider")
    assert set(given) == {1, 3}


def test_a_held_version_is_measured_again_and_decided_on_by_the_task_after_it(deployment: Deployment) -> None:
    before = len(deployment.ledger.entries())
    upstream, skipped = deployment.run("reconsider")
    assert skipped == {"approve"}, "nobody is asked unless the policy says so"
    assert (upstream["version"], upstream["second_look"]) == (deployment.held, to_iso(deployment.later))
    assert deployment.store.exists(f"{upstream['card']}.html")
    assert len(deployment.ledger.entries()) == before, "the first task puts nothing on record"

    done, _ = deployment.run("decide", upstream)
    decision = deployment.ledger.timeline()[deployment.held].decision
    assert decision is not None and decision.as_of == to_iso(deployment.later)
    assert (decision.outcome.value, decision.evidence) == (upstream["outcome"], upstream["evidence"])
    assert done["champion"] == deployment.ledger.timeline().champion
    assert deployment.task.news.event in ("promoted", "held", "rejected")
    assert deployment.run("decide", upstream)[0]["outcome"] == done["outcome"]
    assert len(deployment.ledger.entries()) == before + 1, "a repeated task finds its own record"
