from __future__ import annotations

import pytest

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.watch import Rate, Watch
from include.storage.content import digest_json
from tests.worlds import FLIGHTS, MODELS

PATIENTS = load_model(MODELS / "diabetes_progression" / "model.yaml")


def test_a_declaration_that_says_nothing_of_watching_keeps_its_digest() -> None:
    declared = FLIGHTS.to_json()
    assert "watch" not in declared and "monitor" not in declared["schedule"]
    said = ModelConfig.model_validate({**declared, "watch": {}})
    assert digest_json(said.to_json()) == digest_json(declared)


def test_what_is_said_of_watching_comes_back_from_json() -> None:
    watch = {"false_alarms": "0.5/mo", "retrain": "on_drift", "probation": {"within": "30d", "on_worse": "withdraw"}}
    schedule = {**FLIGHTS.to_json()["schedule"], "monitor": "@daily"}
    model = ModelConfig.model_validate({**FLIGHTS.to_json(), "watch": watch, "schedule": schedule})
    assert ModelConfig.model_validate(model.to_json()) == model
    assert (model.schedule.monitor, model.watch.retrain, str(model.watch.false_alarms)) == (
        "@daily",
        "on_drift",
        "0.5/mo",
    )


@pytest.mark.parametrize(("text", "a_year"), [("1/y", 1), ("0.5/mo", 6), ("2/w", 2 * 365.25 / 7), ("1/d", 365.25)])
def test_a_rate_is_so_many_a_year(text: str, a_year: float) -> None:
    assert Rate.parse(text).a_year == pytest.approx(a_year)


@pytest.mark.parametrize("text", ["1", "0/y", "-1/y", "1/s", "one a year", 1, "1/y/y"])
def test_what_is_no_rate_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="a number, a slash and a unit of time"):
        Watch.model_validate({"false_alarms": text})


def test_a_table_without_time_is_not_monitored_on_a_schedule() -> None:
    declared = PATIENTS.to_json()
    with pytest.raises(ValueError, match=r"`schedule\.monitor` needs `data\.event_time`"):
        ModelConfig.model_validate({**declared, "schedule": {**declared["schedule"], "monitor": "@daily"}})
