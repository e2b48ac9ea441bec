"""Asking a person as the DAG does it: what they are shown, what comes of their answer, and when nobody is asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowSkipException, DownstreamTasksSkipped, TaskAwaitingInput
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import BACKFILL, Run, declare, month

from include.registry.ledger import Ledger
from include.registry.version_states import Outcome
from include.storage.content import digest_json
from include.storage.local import LocalStore
from ratchet_operators import Approve, Gate, KeepChampion, Promote

GUARDS = "[]\n  approval: {when: always, within: 2h, by: [ada, grace]}"
ANSWERED = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Deployment:
    """A model whose every promotion waits for a person, and the end of the graph that decides on it."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "models" / "parcels", LocalStore(root / "store")
        self.model = declare(self.folder, guards=GUARDS)
        self.ledger = Ledger(self.store, "parcels")
        self.asked: dict[str, Any] = {}
        self.sent = OutletEventAccessors()

    def measure(self, number: int) -> dict[str, Any]:
        """Take a live run up to its gate; return what is handed to it."""
        run = Run(self.model, self.folder, month(number), actor={**BACKFILL, "trigger": "scheduled"})
        done: dict[str, Any] = {}
        for name in run.steps:
            done = run.do(name, self.store, done)
            if name == "evaluate":
                break
        return {
            **done["ingest"], **done["evaluate"], "version": done["select"], "mode": "enforce",
        }  # fmt: skip

    def run(self, name: str, upstream: Any, approval: Any = None, event: Any = None) -> tuple[Any, set[str]]:
        """Execute one task; return what it hands over, and the tasks that it skips."""
        with DAG("retrain_parcels", default_args={"model": self.model.to_json()}):
            gate = Gate(task_id="gate", upstream=upstream, promote="promote", approve="approve", keep="keep_champion")
            approve = Approve(task_id="approve", upstream=upstream, approved="promote", kept="keep_champion")
            promote = Promote(task_id="promote", upstream=upstream, approval=approval)
            keep = KeepChampion(task_id="keep_champion", upstream=upstream, approval=approval)
            gate >> [approve, promote, keep]
            approve >> [promote, keep]
        tasks = {task.task_id: task for task in (gate, approve, promote, keep)}
        pushed: dict[str, Any] = {}
        ti = SimpleNamespace(
            id="ti", dag_id="retrain_parcels", run_id=upstream["version"], map_index=-1, task=tasks[name],
            xcom_push=lambda key, value: pushed.update({key: value}),
        )  # fmt: skip
        run = SimpleNamespace(
            run_type="scheduled",
            logical_date=month(5),
            run_after=month(13),
            start_date=month(13),
            dag_id="retrain_parcels",
            run_id=upstream["version"],
        )
        self.sent = OutletEventAccessors()
        context = {"ti": ti, "task_instance": ti, "dag_run": run, "params": {}, "outlet_events": self.sent}
        self.task = tasks[name]
        try:
            done = tasks[name].execute(context) if event is None else tasks[name].execute_complete(context, event)
        except DownstreamTasksSkipped as skipped:
            return pushed["return_value"], {task if isinstance(task, str) else task[0] for task in skipped.tasks}
        return pushed.get("return_value", done), set()

    @property
    def events(self) -> list[Any]:
        """What Airflow would send at the task's success."""
        return [event for outlet in self.task.outlets for event in self.sent[outlet].asset_alias_events]

    def answer(self, upstream: Any, chosen: str | None, note: str = "looks right") -> tuple[Any, set[str]]:
        user = None if chosen is None else {"id": "7", "name": "ada"}
        event = {
            "chosen_options": [chosen or "Reject"], "params_input": {"note": note if chosen else ""},
            "responded_at": ANSWERED, "responded_by_user": user, "timedout": chosen is None,
        }  # fmt: skip
        return self.run("approve", upstream, event=event)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Deployment, Any]:
    deployment = Deployment(tmp_path_factory.mktemp("approvals"))
    return deployment, deployment.measure(4)


@pytest.fixture
def deployment(made: tuple[Deployment, Any], monkeypatch: pytest.MonkeyPatch) -> Deployment:
    deployment = made[0]
    monkeypatch.setenv("RATCHET_STORE", deployment.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(deployment.folder.parent))
    # What goes to Airflow's API server is looked at here.
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **facts: deployment.asked.update(facts))
    return deployment


@pytest.fixture
def gated(deployment: Deployment, made: tuple[Deployment, Any]) -> Any:
    upstream, skipped = deployment.run("gate", made[1])
    assert skipped == set(), "promote and keep_champion wait for the answer"
    assert upstream["outcome"] == "PROMOTE"
    return upstream


def test_the_question_shows_what_was_measured_and_is_put_to_those_who_may_answer(deployment, gated):
    with pytest.raises(TaskAwaitingInput) as waiting:
        deployment.run("approve", gated)
    assert waiting.value.timeout == timedelta(hours=2)
    asked = deployment.asked
    assert asked["subject"] == f"Put {gated['version']} of parcels in force? The gate would promote it."
    assert asked["options"] == ["Approve", "Reject"] and asked["defaults"] == ["Reject"]
    assert [user["id"] for user in asked["assigned_users"]] == ["ada", "grace"]
    assert set(asked["params"]) == {"note"} and asked["params"]["note"]["schema"]["type"] == "string"
    body = asked["body"]
    assert "| ROC AUC | 0." in body and "two-sided 95 % interval" in body
    assert f"/ratchet/parcels/evidence/{gated['evidence']}/gains.svg)" in body
    assert f"(/ratchet/{gated['card']})" in body
    assert f"`{gated['evidence'][:12]}`" in body and "Without an answer within 2h" in body
    assert deployment.task.news.event == "waiting"
    assert deployment.task.news.page.endswith("/tasks/approve/required_actions")


@pytest.mark.parametrize(
    ("chosen", "answer", "skipped"),
    [("Approve", "approved", "keep_champion"), ("Reject", "rejected", "promote"), (None, "unanswered", "promote")],
)
def test_who_answered_what_when_and_why_is_handed_over(deployment, gated, chosen, answer, skipped):
    reply, left_out = deployment.answer(gated, chosen)
    assert left_out == {skipped}
    assert (reply["answer"], reply["evidence"], reply["incumbent"]) == (answer, gated["evidence"], None)
    told = (reply["user"], reply["at"], reply["note"])
    assert told == ((None,) * 3 if chosen is None else ("ada", "2026-03-01T12:00:00Z", "looks right"))


def test_an_answer_without_a_reason_does_not_count(deployment, gated):
    with pytest.raises(ValueError, match="ada answered 'Approve' without a reason"):
        deployment.answer(gated, "Approve", note="  ")


def test_a_dry_run_asks_nobody(deployment, made):
    _, skipped = deployment.run("gate", {**made[1], "mode": "dry_run"})
    assert skipped == {"approve", "promote"}


def test_promoted_on_an_approval_and_not_asked_again_nor_rejected_later(deployment, gated):
    no_more = {"answer": "unanswered", "evidence": gated["evidence"], "incumbent": None}
    reply, _ = deployment.answer(gated, "Approve")
    done, _ = deployment.run("promote", gated, reply)
    assert done["outcome"] == "PROMOTE"
    decision = deployment.ledger.timeline()[gated["version"]].decision
    assert decision.outcome is Outcome.PROMOTE and decision.approval["user"] == "ada"
    assert [event.dest_asset_key.uri for event in deployment.events] == ["x-ratchet://parcels/champion"]
    assert deployment.task.news.event == "promoted" and "looks right" in deployment.task.news.sentence

    asked_again = deployment.run("approve", gated)
    assert asked_again == (None, {"keep_champion"})
    deployment.run("keep_champion", gated, no_more)
    assert deployment.ledger.timeline()[gated["version"]].decision == decision


def test_an_approval_of_a_version_that_another_one_overtook_promotes_nothing(deployment, gated):
    late, _ = deployment.run("gate", deployment.measure(7))
    reply, _ = deployment.answer(late, "Approve")
    assert reply["incumbent"] == gated["version"], "the test before this one promoted it"
    between, _ = deployment.run("gate", deployment.measure(6))
    deployment.run("promote", between, deployment.answer(between, "Approve")[0])
    assert deployment.ledger.timeline().champion == between["version"]
    with pytest.raises(AirflowSkipException, match="is void: it was given against"):
        deployment.run("promote", late, reply)
    assert deployment.ledger.timeline().champion == between["version"]
    assert not deployment.events
    assert deployment.task.news.event in ("held", "rejected")


def test_the_declaration_may_not_change_while_the_answer_is_waited_for(deployment, gated):
    changed = {**gated, "config": digest_json("another")}
    with pytest.raises(Exception, match="changed during this run"):
        deployment.run("approve", changed)


def test_an_answer_stands_though_the_description_was_edited_meanwhile(deployment, gated, monkeypatch):
    edited = {"description": "Another sentence?", "notify": ({"via": "webhook", "connection": "ops"},)}
    declared = type(deployment.model).model_validate(deployment.model.to_json() | edited)
    late, _ = deployment.run("gate", deployment.measure(8))
    reply, _ = deployment.answer(late, "Approve")
    monkeypatch.setattr(deployment, "model", declared)
    done, _ = deployment.run("promote", late, reply)
    assert done["outcome"] == "PROMOTE"
    decision = deployment.ledger.timeline()[late["version"]].decision
    assert decision.approval["answer"] == "approved" and decision.approval["evidence"] == late["evidence"]
    assert deployment.ledger.config(decision.config).description == "Another sentence?"
