"""Watching as its DAG does it, and the retraining that it asks for: the log carries the truth, the event only wakes."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException, TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import NOW
from faults import FaultyStore, Killed
from watched import APRIL, Watched, day

from include.config.load import load_model
from include.config.sections.notify import Notification
from include.config.sections.watch import Watch
from include.monitoring.performance.probation import ProbationState, ProbationVerdict
from include.monitoring.retraining_requests import request_state
from include.monitoring.watch_log import WatchLog
from include.storage.content import to_iso
from include.storage.local import LocalStore
from ratchet_operators import Ingest, Monitor, ReconsiderMatured, Select
from ratchet_operators.operator import RatchetOperator

ALARM = "x-ratchet://parcels/alarm"


class Deployment:
    """A model with a champion whose two weeks of April are scored, under settings as a worker has them."""

    def __init__(self, world: Watched) -> None:
        self.world = world
        self.task: Any = None

    def run(
        self,
        operator: Any,
        kind: str,
        *,
        date: datetime | None = None,
        run_id: str = "r",
        began: datetime = NOW,
        woken_by: tuple[str, ...] = (),
        **params: Any,
    ) -> Any:
        self.task = operator(task_id="task", model=self.world.model.to_json())
        run = SimpleNamespace(
            run_type=kind, logical_date=date, run_after=began, start_date=began, dag_id="dag", run_id=run_id,
            triggering_user_name=None, consumed_asset_events=[SimpleNamespace(asset=SimpleNamespace(uri=one)) for one in woken_by],
        )  # fmt: skip
        self.sent = OutletEventAccessors()
        return self.task.execute({"dag_run": run, "params": params, "outlet_events": self.sent})

    def monitor(self, number: int, kind: str = "scheduled", **given: Any) -> Any:
        return self.run(Monitor, kind, date=day(number).until, run_id=f"{kind} {number}", **given)

    @property
    def events(self) -> list[tuple[str, Any]]:
        found = [one for event in self.sent.values() for one in event.asset_alias_events]
        return [(one.dest_asset_key.uri, one.extra) for one in found]

    def pending(self) -> int:
        return len(request_state(WatchLog(self.world.store, "parcels").entries()).pending)


@pytest.fixture
def deployment(april: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    shutil.copytree(april, tmp_path / "w")
    store = LocalStore(tmp_path / "w" / "store")
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "w"))
    folder = tmp_path / "w" / "parcels"
    return Deployment(Watched(folder, store, load_model(folder / "model.yaml")))


def ask(deployment: Deployment) -> int:
    """Watch until a retraining is asked for, and return the day."""
    for number in range(1, 15):
        if deployment.monitor(number)["asked"]:
            return number
    raise AssertionError("nothing was asked")


def test_a_request_wakes_the_retraining_until_a_run_has_taken_it_and_that_run_stands_where_it_was_asked(
    deployment: Deployment,
) -> None:
    number = ask(deployment)
    assert [uri for uri, _ in deployment.events] == [ALARM]
    deployment.monitor(number)  # killed after it had asked, and repeated
    assert [uri for uri, _ in deployment.events] == [ALARM] and deployment.pending() == 1
    brought = deployment.run(Ingest, "asset_triggered", run_id="first", woken_by=(ALARM,))
    assert brought["as_of"] == f"{day(number).until:%Y-%m-%dT%H:%M:%SZ}" and brought["asked"] == 1
    assert deployment.run(Ingest, "asset_triggered", run_id="first", woken_by=(ALARM,)) == brought
    with pytest.raises(AirflowSkipException, match="another run has taken"):
        deployment.run(Ingest, "asset_triggered", run_id="second", woken_by=(ALARM,))
    deployment.monitor(number)
    assert deployment.events == [] and deployment.pending() == 0


def test_a_run_of_the_schedule_takes_what_was_asked_by_where_it_stands_and_no_more(deployment: Deployment) -> None:
    number = ask(deployment)
    before, after = day(number - 1).until, day(number).until
    assert "asked" not in deployment.run(Ingest, "scheduled", date=before, run_id="a")
    assert "asked" not in deployment.run(Ingest, "backfill", date=after, run_id="b")
    assert "asked" not in deployment.run(Ingest, "manual", date=after, run_id="c", mode="dry_run")
    assert deployment.pending() == 1
    assert deployment.run(Ingest, "scheduled", date=after, run_id="d")["asked"] == 1
    assert deployment.pending() == 0


def test_after_a_retraining_that_is_not_needed_nothing_is_selected(deployment: Deployment) -> None:
    task = Select(task_id="select", model=deployment.world.model.to_json(), fitted=None)
    with pytest.raises(AirflowSkipException, match="Nothing was trained"):
        task.execute({})


def test_broken_data_and_a_champion_that_falls_short_are_told_apart_and_lead_to_the_watch_page(
    deployment: Deployment,
) -> None:
    told = []
    for number in range(1, 13):
        done = deployment.monitor(number)
        told += [(number, one.event, one.page) for one in deployment.task.news or ()]
        assert done["alarms"] >= done["told"]
    page = "plugin/models/parcels/watch"
    assert (11, "data_fault", page) in told and [event for _, event, _ in told].count("alarm") >= 1
    assert {page} == {one for _, _, one in told}


@pytest.mark.parametrize(
    ("on", "wanted"), [(["alarm"], True), (["data_fault"], True), (["probation"], False), (["held"], False)]
)
def test_whoever_wants_alarms_or_broken_data_alone_is_told_of_broken_data(on: list[str], wanted: bool) -> None:
    channel = Notification.model_validate({"via": "slack", "connection": "c", "on": on})
    assert channel.wants("data_fault") == wanted


def test_a_backfill_shows_what_it_would_have_asked_and_neither_asks_nor_tells_nor_wakes(
    deployment: Deployment,
) -> None:
    for number in range(1, 13):
        done = deployment.monitor(number, "backfill")
        assert (done["told"], done["asked"], deployment.events, deployment.task.news) == (0, None, [], None)
    assert done["alarms"] > 0 and deployment.pending() == 0


def test_a_scheduled_run_waits_for_scores_and_is_skipped_when_they_do_not_come(deployment: Deployment) -> None:
    with pytest.raises(TaskDeferred):
        deployment.monitor(16, began=datetime.now(NOW.tzinfo))
    with pytest.raises(AirflowSkipException, match="Run score_parcels for 2024-04-17 00:00"):
        deployment.monitor(16, began=datetime.now(NOW.tzinfo) - timedelta(hours=7))
    with pytest.raises(AirflowSkipException):
        deployment.run(Monitor, "manual", date=APRIL)


def test_a_monitor_killed_at_any_call_of_the_store_and_repeated_asks_once_and_wakes(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ask(deployment)
    world = tmp_path / "w"
    for name in ("before", "counted"):
        shutil.copytree(world, tmp_path / name)
    log = WatchLog(deployment.world.store, "parcels").entries()
    asking = next(one.number for one in log if one.kind == "request")
    # Forget all that the asking day has written.
    first = next(one.number for one in log if one.kind == "observed" and one.body["until"] == to_iso(day(number).until))
    for one in log[first:]:
        (tmp_path / "before" / "store" / "parcels" / "watch" / "log" / f"{one.number:08d}.json").unlink()
    assert asking >= first

    def run(store: Any) -> tuple[list[Any], list[tuple[str, Any]]]:
        monkeypatch.setattr(RatchetOperator, "open_store", lambda _: store)
        deployment.monitor(number)
        return [(one.kind, one.body) for one in WatchLog(store, "parcels").entries()], deployment.events

    shutil.rmtree(tmp_path / "counted")
    shutil.copytree(tmp_path / "before", tmp_path / "counted")
    counted = FaultyStore(LocalStore(tmp_path / "counted" / "store"))
    expected = run(counted)
    assert [uri for uri, _ in expected[1]] == [ALARM]
    for fail_at in range(2, counted.calls + 1, 7):
        shutil.copytree(tmp_path / "before", tmp_path / str(fail_at))
        store = LocalStore(tmp_path / str(fail_at) / "store")
        with pytest.raises(Killed):
            run(FaultyStore(store, fail_at=fail_at, mode="after" if fail_at % 2 else "before"))
        assert run(store) == expected


@pytest.mark.parametrize(
    ("on_worse", "event", "said"),
    [
        ("tell", "probation", "is worse:"),
        ("ask", "waiting", "Shall it be withdrawn?"),
        ("withdraw", "probation", "It is withdrawn"),
    ],
)
def test_people_are_told_how_a_probation_ended(deployment: Deployment, on_worse: str, event: str, said: str) -> None:
    task: Any = Monitor(task_id="task", model=deployment.world.model.to_json())
    watch = Watch.model_validate({"probation": {"on_worse": on_worse}})
    task.config = deployment.world.model.model_copy(update={"watch": watch})
    news = task._of_probation("v1", ProbationState(ProbationVerdict.WORSE, 12, 900, -0.02, -0.03, -0.01, NOW), "v2")
    assert (news.event, news.version) == (event, "v2") and said in news.sentence


def test_a_held_version_whose_rows_have_come_is_looked_at_once_for_each_time_that_it_was_held(
    deployment: Deployment,
) -> None:
    task: Any = ReconsiderMatured(task_id="reconsider", model=deployment.world.model.to_json())
    assert task.trigger_dag_id == "reconsider_parcels" and task.skip_when_already_exists
    for upstream in (None, {"matured": None}):
        task.upstream = upstream
        with pytest.raises(AirflowSkipException):
            task.execute({})
    matured = {"run": "matured__v__7", "version": "v", "as_of": "2024-05-01T00:00:00Z", "reason": "enough rows"}
    task.upstream = {"matured": matured}
    with pytest.raises(DagRunTriggerException) as asked:
        task.execute({"ti": SimpleNamespace(xcom_push=lambda **_: None)})
    assert (asked.value.trigger_dag_id, asked.value.dag_run_id) == ("reconsider_parcels", "matured__v__7")
    assert asked.value.conf == {"version": "v", "as_of": "2024-05-01T00:00:00Z", "reason": "enough rows"}
