"""Contributions of columns are watched as predictions are, where the scores say them: a change that no column shows by itself is told.

From the eighth of April heavy parcels go far and light ones near. Each column is as it was; what each says of the other is not.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain_run import declare, parcels, run_chain

from include.config.load import load_model
from include.monitoring.alarm_history import alarm_history
from include.monitoring.drift.champion_reference import find_reference
from include.monitoring.drift.drift_series import series_of
from include.monitoring.drift.references import reference_for
from include.monitoring.drift.watched_version import PREDICTION
from include.monitoring.report.watch_report import watch_report
from include.monitoring.watch_log import WatchLog, observed_in
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from tests.watched import APRIL, Watched, day

TOGETHER = APRIL + timedelta(days=7)
REASONS = [
    "(contribution of weight)",
    "(contribution of distance)",
    "(contribution of evening)",
    "(contribution of carrier)",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    root = tmp_path_factory.mktemp("contributions")
    rows = parcels(rows=40_000)
    rows = rows[(rows["sent_at"] < APRIL + timedelta(days=32)) & (rows["weight"] > 0)].reset_index(drop=True)
    for _, of_day in rows[rows["sent_at"] >= TOGETHER].groupby(rows["sent_at"].dt.date):
        known = of_day.index[of_day["distance"].notna()]
        order = np.argsort(rows.loc[known, "weight"].to_numpy())
        distances = np.sort(rows.loc[known, "distance"].to_numpy())
        rows.loc[known[order], "distance"] = distances
    declare(root / "parcels", rows, partition="day")
    path = root / "parcels" / "model.yaml"
    text = path.read_text().replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@daily", monitor: "@daily"}')
    path.write_text(text.replace("    - {estimator: logistic_regression}\n", ""))
    model = load_model(path)
    store = LocalStore(root / "store")
    run_chain(store, model, root / "parcels", APRIL)
    assert Ledger(store, "parcels").timeline().champion is not None
    world = Watched(root / "parcels", store, model)
    for number in range(1, 32):
        world.score(number)
    return world


def with_reasons(world: Watched) -> Watched:
    path = world.folder / "model.yaml"
    if "contributions" not in path.read_text():
        path.write_text(path.read_text() + "score: {contributions: true}\n")
    return Watched(world.folder, world.store, load_model(path))


def test_a_change_between_columns_is_told_by_their_contributions_and_by_nothing_before(made: Watched) -> None:
    champion = str(Ledger(made.store, "parcels").timeline().champion)
    for number in range(1, 5):  # before the scores said why
        found = made.monitor(number)
        assert found is not None and found.told == ()
    plain = find_reference(made.store, made.model, champion)
    assert plain is not None
    assert [one.name for one in plain.reference.layout.columns] == [
        "weight",
        "distance",
        "evening",
        "carrier",
        PREDICTION,
    ]

    world = with_reasons(made)
    told: dict[int, Any] = {}
    for number in range(5, 32):
        found = world.monitor(number)
        assert found is not None
        told[number] = [one.subject for one in found.told if one.kind == "drift"]
    kept = reference_for(world.store, world.model, world.folder, champion)
    assert [one.name for one in kept.reference.layout.columns if one.role == "contribution"] == REASONS
    assert not any(told[number] for number in (5, 6, 7)), "nothing had changed"
    subjects = {one for number in range(8, 32) for one in told[number]}
    assert subjects & set(REASONS), subjects
    assert not subjects & {"weight", "distance", "evening", "carrier"}, "each column is as it was"
    assert watch_report(world.store, world.model) is not None

    # What was watched before they were has no row of them, and stays as it was.
    first = observed_in(WatchLog(world.store, "parcels").entries(), champion)[0]
    assert not set(REASONS) & set(first.period.counts)
    again = find_reference(made.store, made.model, champion)
    assert again is not None and again.digest == plain.digest


def test_the_same_false_alarms_are_divided_among_more_series(made: Watched) -> None:
    world = with_reasons(made)
    champion = str(Ledger(world.store, "parcels").timeline().champion)
    kept = reference_for(world.store, world.model, world.folder, champion)
    series = series_of(kept.reference, ())
    assert np.isclose(series.shares.sum(), 1)
    share = dict(zip(series.names, series.shares, strict=True))
    assert share[REASONS[0], "location"] == share["weight", "location"] < share[PREDICTION, "location"]
    seen = list(observed_in(WatchLog(world.store, "parcels").entries(), champion))
    history = alarm_history(kept.reference, seen[-3:], world.model.watch, day(1).until - day(1).after)
    assert history.observed


def test_a_model_whose_predictions_do_not_add_up_is_watched_without(tmp_path: Path) -> None:
    rows = parcels(rows=8000)
    rows = rows[rows["sent_at"] < APRIL + timedelta(days=3)].reset_index(drop=True)
    declare(tmp_path / "parcels", rows, partition="day")
    path = tmp_path / "parcels" / "model.yaml"
    text = path.read_text().replace("end: 2025-01-01}", 'end: 2025-01-01, score: "@daily", monitor: "@daily"}')
    text = text.replace("    - {estimator: logistic_regression}\n", "").replace(
        "{estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}",
        "{estimator: k_neighbors, params: {n_neighbors: 25}}",
    )
    path.write_text(text + "score: {contributions: true}\n")
    store = LocalStore(tmp_path / "store")
    world = Watched(tmp_path / "parcels", store, load_model(path))
    run_chain(store, world.model, world.folder, APRIL)
    champion = Ledger(store, "parcels").timeline().standings[0].version
    kept = reference_for(store, world.model, world.folder, champion)
    assert "contribution" not in {one.role for one in kept.reference.layout.columns}
