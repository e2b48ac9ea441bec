"""Fifty segments on real data: flights out of New York, a model for each of the destinations that are flown to most."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from chain_run import NOW, _Nowhere, run_chain
from segmented import retrain_segments

from include.config.load import load_model
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.scoring.publication import Publication
from include.scoring.score import ingest_interval, interval_at, score
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # minutes

REPLACED = {
    "  derive: features:derive\n": "",
    "distance, departure_hour, arrival_hour, temp, humid, pressure, precip, visib, wind_east, wind_north": "distance, sched_arr_time, temp, humid, pressure, precip, visib, wind_speed",
    "[carrier, origin, dest, weekday]": "[carrier, origin, dest]",
    "    - {estimator: hist_gradient_boosting, params: {max_iter: 100, learning_rate: 0.1}}\n": "",
    "[roc_auc, average_precision, f1, precision, recall, accuracy, brier]": "[roc_auc, brier]",
    "  slices: [origin, carrier]": "  slices: [origin]",
    "features:\n": "segments: {column: dest, min_rows: 515}\nfeatures:\n",
}


def test_fifty_destinations_each_have_a_ledger_and_share_one_error(tmp_path: Path) -> None:
    folder, store = tmp_path / "flight_delay", LocalStore(tmp_path / "store")
    shutil.copytree(ROOT / "include" / "models" / "flight_delay", folder)
    text = (folder / "model.yaml").read_text()
    for old, new in REPLACED.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "model.yaml").write_text(text)
    model = load_model(folder / "model.yaml")
    done = run_chain(store, model, folder, datetime(2013, 7, 1, tzinfo=UTC))
    found, outcomes = retrain_segments(store, model, folder, done["check"]["snapshot"], done["select"])

    assert len(found.levels) == len(outcomes) == 50 and found.rare > 30
    shares = []
    for name, one in outcomes.items():
        (standing,) = Ledger(store, f"flight_delay/segments/{name}").timeline().standings
        decision = standing.decision
        assert decision is not None and decision.evidence is not None
        assert (decision.outcome.value, standing.version) == (one.outcome, one.version)
        assert decision.primary["against"] == "pooled"
        shares.append(1 - decision.primary["confidence"])
    assert sum(shares) == pytest.approx(1 - model.gate.primary.confidence), "an error among all fifty, not for each"
    assert {one.outcome for one in outcomes.values()} <= {"PROMOTE", "HOLD", "REJECT"}
    assert not [key for key in store.list("flight_delay/segments/") if "/partitions/" in key]

    interval = interval_at(model, datetime(2013, 8, 1, tzinfo=UTC))
    snapshot = ingest_interval(store, model, folder, interval, at=NOW, connections=_Nowhere())
    manifest = score(store, model, folder, snapshot, at=NOW)
    assert manifest is not None and manifest.rows > 25_000
    promoted = {name: one.version for name, one in outcomes.items() if one.outcome == "PROMOTE"}
    assert manifest.segments == promoted
    versions = set(Publication(store, "flight_delay", interval).read(manifest)["version"].to_pylist())
    assert versions == {manifest.version, *promoted.values()}
