"""Four months of flights under a real scheduler, three runs at a time: forwards and backwards end in the same place."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from commands import declared_until

from include.command_line.local_airflow.backfill import backfill
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow
from include.registry.history.policy_replay import rejudge
from include.registry.ledger import Ledger
from include.storage.content import digest
from include.storage.local import LocalStore

pytestmark = [pytest.mark.system, pytest.mark.timeout(2400)]

FIRST, LAST = datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 8, 1, tzinfo=UTC)


def run(airflow: LocalAirflow, store: Path, kept: Path, *, backwards: bool) -> LocalStore:
    """Backfill the retraining, then the scores, into a store that is empty; take it away as ``kept``."""
    for dag in ("retrain_flight_delay", "score_flight_delay"):
        progress = backfill(airflow, dag, FIRST, LAST, at_once=3, backwards=backwards, show=lambda progress: None)
        assert len(progress.runs) == 4
        assert not progress.unsuccessful, progress.failed
        airflow.api.patch(f"dags/{dag}", {"is_paused": True})
    store.rename(kept)
    return LocalStore(kept)


def timeline(store: LocalStore) -> list[Any]:
    ledger = Ledger(store, "flight_delay")
    assert ledger.verify() == len(ledger.entries())
    assert not any(replayed.differs for replayed in rejudge(ledger))
    return [
        (s.version, s.decision.outcome, s.decision.incumbent, s.decision.reason, s.decision.primary)
        for s in ledger.timeline().standings
        if s.decision
    ]


def bytes_of(store: LocalStore, folder: str) -> dict[str, str]:
    return {key: digest(store.get(key)) for key in store.list(f"flight_delay/{folder}/") if "/log/" not in key}


def test_forwards_and_backwards_give_the_same_timeline_and_the_same_scores_byte_for_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrated: Callable[[Path], Path]
) -> None:
    store = tmp_path / "store"
    monkeypatch.setenv("RATCHET_STORE", store.as_uri())
    monkeypatch.setenv("RATCHET_MODELS", str(declared_until(tmp_path, "2014-01-01")))
    with local_airflow(migrated(tmp_path / "home"), port=free_port(8140), triggerer=False) as airflow:
        for dag in ("retrain_flight_delay", "score_flight_delay"):
            airflow.wait_ready(dag)
        forwards = run(airflow, store, tmp_path / "forwards", backwards=False)
        backwards = run(airflow, store, tmp_path / "backwards", backwards=True)

    assert len(timeline(forwards)) == 4
    assert timeline(forwards) == timeline(backwards)
    assert len({outcome for _, outcome, *_ in timeline(forwards)}) > 1
    for folder in ("models", "versions", "snapshots", "scores"):
        assert bytes_of(forwards, folder) == bytes_of(backwards, folder) != {}, folder
