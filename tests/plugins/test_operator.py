"""Operators are thin: they read the run, open the store, call include, and translate errors at Airflow's edge."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from structlog.testing import capture_logs
from structlog.tracebacks import ExceptionDictTransformer
from worlds import FLIGHTS

from include.errors import ConfigError, DataError, StoreUnavailable
from ratchet_operators.operator import RatchetOperator, actor_of
from ratchet_operators.run_instants import as_of, now

TRIGGERED = datetime(2014, 2, 1, tzinfo=UTC)


def context(run_type: str = "manual", *, logical_date: datetime | None = None, **params: Any) -> Any:
    run = SimpleNamespace(
        run_type=run_type, logical_date=logical_date, run_after=TRIGGERED, start_date=TRIGGERED, dag_id="retrain_x", run_id="r",
        triggering_user_name="ada",
    )  # fmt: skip
    return {"dag_run": run, "params": params}


class Failing(RatchetOperator):
    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def work(self, context: Any) -> None:
        raise self.error


def operator(**kwargs: Any) -> Failing:
    return Failing(task_id="failing", model=FLIGHTS.to_json(), **kwargs)


def test_bad_data_is_not_retried():
    with pytest.raises(AirflowFailException, match="Not so."):
        operator(error=DataError("Not so.", expected="seven")).execute({})


@pytest.mark.parametrize("kind", [DataError, StoreUnavailable])
def test_an_error_stands_once_in_the_log_with_its_lines_first_and_one_stack_folded_away(kind):
    cause = ValueError("what the library said")
    error = kind("Not so.", expected="seven", found="six", where="here", remedy="count again")
    error.__cause__ = cause
    with capture_logs() as lines, pytest.raises(Exception, match="Not so.") as caught:
        operator(error=error).execute({})
    told, folded = (line for line in lines if line["log_level"] != "warning")  # Airflow warns of a call by hand
    assert (told["log_level"], told["event"]) == ("error", str(error))
    assert folded["event"] == "::group::Stack"
    # What Airflow logs after it, as its task runner makes it: one exception, down to the line that raised.
    (report,) = ExceptionDictTransformer(show_locals=False)(
        (type(caught.value), caught.value, caught.value.__traceback__)
    )
    assert report["frames"][-1]["name"] == "work"


@pytest.mark.parametrize("error", [StoreUnavailable("no answer"), ConnectionError("reset")])
def test_a_passing_fault_is_left_to_airflows_retries(error):
    with pytest.raises(type(error)) as caught:
        operator(error=error).execute({})
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("run_type", ["scheduled", "backfill"])
def test_scheduled_runs_and_backfills_stand_at_their_date_whatever_the_form_says(run_type):
    date = datetime(2013, 7, 1, tzinfo=UTC)
    assert as_of(context(run_type, logical_date=date, as_of="2014-01-01T00:00:00Z"), FLIGHTS) == date


def test_a_run_of_an_upstream_asset_stands_at_its_moment_whatever_the_form_would_open_with():
    assert as_of(context("asset_triggered", as_of="2014-01-01T00:00:00Z"), FLIGHTS) == TRIGGERED


def test_a_run_by_hand_stands_at_the_forms_as_of_or_else_at_the_date_that_it_was_given():
    date, end = datetime(2013, 7, 1, tzinfo=UTC), FLIGHTS.schedule.end
    assert as_of(context(as_of="2013-09-01T02:00:00+02:00", logical_date=date), FLIGHTS) == datetime(
        2013, 9, 1, tzinfo=UTC
    )
    assert as_of(context(logical_date=date), FLIGHTS) == date
    assert as_of(context(logical_date=date, as_of=""), FLIGHTS) == date
    assert end is not None and as_of(context(), FLIGHTS) == end < TRIGGERED
    for later in (None, datetime(2015, 1, 1, tzinfo=UTC)):
        schedule = FLIGHTS.schedule.model_copy(update={"end": later})
        assert as_of(context(), FLIGHTS.model_copy(update={"schedule": schedule})) == TRIGGERED


def test_where_a_run_stands_and_why_is_in_its_log(caplog):
    caplog.set_level("INFO")
    as_of(context(logical_date=datetime(2013, 7, 1, tzinfo=UTC)), FLIGHTS)
    assert "as-of of this run is 2013-07-01T00:00:00+00:00: the run's logical date" in caplog.text


@pytest.mark.parametrize("wanted", ["2015-01-01T00:00:00Z", "tomorrow"])
def test_an_as_of_that_can_not_be_is_answered(wanted):
    with pytest.raises(ConfigError, match="as-of"):
        as_of(context(as_of=wanted), FLIGHTS)


@pytest.mark.parametrize(
    ("run_type", "trigger"),
    [("backfill", "backfill"), ("scheduled", "scheduled"), ("manual", "manual"), ("asset_triggered", "scheduled")],
)
def test_schedule_form_and_backfill_are_told_apart(run_type, trigger):
    actor = actor_of(context(run_type, reason="new carrier"))
    assert actor == {"trigger": trigger, "dag": "retrain_x", "run": "r", "user": "ada", "reason": "new carrier"}


def test_what_goes_on_record_is_never_from_before_the_run_began():
    ahead = datetime(2099, 1, 1, tzinfo=UTC)
    slow = context()
    slow["dag_run"].start_date = ahead
    assert now(slow) == ahead
    assert TRIGGERED < now(context()) < ahead


class Telling(RatchetOperator):
    def work(self, context: Any) -> str:
        return self.identity


def test_a_configuration_changed_under_way_is_refused():
    def run(upstream: Any) -> Any:
        return Telling(task_id="telling", model=FLIGHTS.to_json(), upstream=upstream).execute({})

    begun = run(None)
    assert run({"config": begun}) == begun
    with pytest.raises(AirflowFailException, match="changed during this run"):
        run([{"config": begun}, {"config": "0" * 64}])


def edited(**parts: Any) -> dict[str, Any]:
    """Return the declaration of the flights with fields of it replaced, a level down where a dict is given."""
    value = FLIGHTS.to_json()
    return value | {name: value[name] | part if isinstance(part, dict) else part for name, part in parts.items()}


ASKED = {"when": "always", "within": "1d"}


@pytest.mark.parametrize(
    "edit",
    [
        {"description": "Will it be late?"},
        {"owner": "another team"},
        {"notify": [{"via": "webhook", "connection": "ops"}]},
        {"schedule": {"end": None, "retrain": "@weekly"}},
        {"resources": {"pool": "training"}},
        {"gate": {"approval": ASKED | {"within": "2d"}}},
    ],
)
def test_an_edit_that_does_not_affect_the_result_does_not_fail_a_run_under_way(edit):
    def run(model: dict[str, Any], upstream: Any) -> Any:
        return Telling(task_id="telling", model=model, upstream=upstream).execute({})

    asked = {"gate": FLIGHTS.to_json()["gate"] | {"approval": ASKED}}
    begun = run(edited(**asked), None)
    after = {**asked, **edit}
    after["gate"] = asked["gate"] | edit.get("gate", {})
    assert run(edited(**after), {"config": begun}) == begun


@pytest.mark.parametrize(
    "edit",
    [
        {"training": {"seed": 8}},
        {"evaluation": {"resamples": 300}},
        {"gate": {"primary": {"metric": "roc_auc", "confidence": 0.99}}},
        {"gate": {"approval": {"when": "always", "by": ["ada"]}}},
        {"data": {"label_delay": "2d"}},
    ],
)
def test_an_edit_that_affects_the_result_fails_it(edit):
    begun = Telling(task_id="telling", model=FLIGHTS.to_json()).execute({})
    with pytest.raises(AirflowFailException, match="changed during this run"):
        Telling(task_id="telling", model=edited(**edit), upstream={"config": begun}).execute({})
