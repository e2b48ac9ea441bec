"""What the table of patients gives, and that an unchanged table is no news."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
from chain_run import run_chain

from include.config.code import load_function
from include.config.load import load_model
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

FOLDER = ROOT / "include" / "models" / "diabetes_progression"


def test_all_patients_are_there_in_the_units_of_the_paper() -> None:
    patients = load_function(FOLDER, "source:read")()
    assert len(patients) == 442 and not patients.duplicated().any()
    assert patients["age"].between(19, 79).all() and patients["progression"].between(25, 346).all()
    assert set(patients["sex"]) == {"code 1", "code 2"}


def test_age_groups_are_cut_where_they_say() -> None:
    derive = load_function(FOLDER, "features:derive")
    groups = derive(pd.DataFrame({"age": [19.0, 39.0, 40.0, 59.0, 60.0, 79.0]}))["age_group"].tolist()
    assert groups == ["under 40"] * 2 + ["40 to 59"] * 2 + ["60 and over"] * 2


def test_a_second_run_makes_no_version_and_what_stands_is_known(tmp_path: Path) -> None:
    store, model = LocalStore(tmp_path / "store"), load_model(FOLDER / "model.yaml")
    first, second = (run_chain(store, model, FOLDER, datetime(2025, month, 1, tzinfo=UTC)) for month in (6, 7))
    ledger = Ledger(store, model.name)
    assert second["select"] == first["select"] and second["ingest"]["as_of"] == "2025-06-01T00:00:00Z"
    assert len(ledger.entries()) == 2
    assert ledger.stands(model, first["select"]) is not None
    wider = model.model_copy(update={"gate": model.gate.model_copy(update={"guards": ()})})
    assert ledger.stands(wider, first["select"]) is None
    # No group's mean error may be, for certain, as large as that of guessing the mean is for all.
    patients = load_function(FOLDER, "source:read")()
    guessing = (patients["progression"] - patients["progression"].mean()).abs().mean()
    decision = ledger.timeline()[first["select"]].decision
    assert decision is not None
    worst = {(one.groups, one.metric): one.scores["challenger"] for one in ledger.compare(decision).evidence.fairness}
    assert {rule.groups for rule in model.gate.fairness} == {"sex", "age_group"}
    for rule in model.gate.fairness:
        assert rule.at_most is not None and worst[rule.groups, "mae"].high < rule.at_most <= guessing
