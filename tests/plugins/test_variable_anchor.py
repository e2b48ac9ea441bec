"""What an Airflow variable remembers of a ledger does not fall back, whoever sets it at the same time."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import pytest
from airflow.sdk import Variable

from ratchet_operators.connections import VariableAnchor


def envelope(number: int, model: str = "parcels") -> bytes:
    head = {"number": number, "model": model}
    return json.dumps({"payload": base64.b64encode(json.dumps(head).encode()).decode()}).encode()


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Airflow's variables, of which each call reads or sets one."""
    kept: dict[str, str] = {}
    monkeypatch.setattr(Variable, "get", lambda name, default: kept.get(name, default))
    monkeypatch.setattr(Variable, "set", lambda name, value, description: kept.update({name: value}))
    return kept


@pytest.mark.parametrize("newer", [5, 6])
def test_of_two_tasks_that_set_it_at_the_same_time_the_newest_event_is_remembered(
    newer: int, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    anchor, put = VariableAnchor("ratchet_head"), Variable.set
    for number in range(newer - 1):
        anchor.keep("parcels", number, envelope(number))

    def overtaken(name: str, value: str, **facts: Any) -> None:
        """Set it late: between the look and this, the other task sets its own."""
        monkeypatch.setattr(Variable, "set", put)
        anchor.keep("parcels", newer, envelope(newer))
        put(name, value, **facts)

    monkeypatch.setattr(Variable, "set", overtaken)
    anchor.keep("parcels", newer - 1, envelope(newer - 1))
    assert anchor.newest("parcels") == envelope(newer)


def test_whatever_the_order_in_which_heads_come_the_newest_stays(variables: dict[str, str]) -> None:
    for order in itertools.permutations(range(4)):
        variables.clear()
        anchor = VariableAnchor("ratchet_head")
        for number in order:
            anchor.keep("parcels", number, envelope(number))
        assert anchor.newest("parcels") == envelope(3)


def test_what_an_earlier_release_remembered_still_counts(variables: dict[str, str]) -> None:
    variables["ratchet_head_parcels"] = envelope(7).decode()  # one variable for all numbers
    anchor = VariableAnchor("ratchet_head")
    assert anchor.newest("parcels") == envelope(7)
    anchor.keep("parcels", 8, envelope(8))
    anchor.keep("parcels", 9, envelope(9))
    assert anchor.newest("parcels") == envelope(9)


def test_a_model_with_the_name_of_another_and_odd_has_variables_of_its_own(variables: dict[str, str]) -> None:
    variables["ratchet_head_parcels_odd"] = envelope(9).decode()  # an earlier release's, of `parcels`
    anchor = VariableAnchor("ratchet_head")
    assert anchor.newest("parcels") == envelope(9) and anchor.newest("parcels_odd") is None
    for number in range(12):
        for model in ("parcels", "parcels_odd"):
            anchor.keep(model, number, envelope(number, model))
    for model in ("parcels", "parcels_odd"):
        assert anchor.newest(model) == envelope(11, model)
