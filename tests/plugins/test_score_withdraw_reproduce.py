"""Scoring, rolling back and reproducing as their DAGs do it: by the operators, in the order of the graph."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from importlib.metadata import version as version_here
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import NOW, declare, month, run_chain
from structlog.testing import capture_logs

from include.data.ingestion.catalogue import Catalogue
from include.data.snapshots import Snapshot
from include.registry.ledger import Ledger
from include.registry.versions import load_version
from include.storage.local import LocalStore
from include.training import recipe
from ratchet_operators import Deliver, IngestInterval, Reproduce, Retract, Score, Withdraw
from ratchet_operators.connections import AirflowConnections


class Deployment:
    """A model with two champions, under settings as a worker has them."""

    def __init__(self, root: Path) -> None:
        self.folder, self.store = root / "models" / "parcels", LocalStore(root / "store")
        self.model = declare(self.folder)
        self.events: dict[str, Any] = {}

    @property
    def champion(self) -> str | None:
        return Ledger(self.store, "parcels").timeline().champion

    def run(
        self,
        operator: Any,
        *,
        run_id: str = "r",
        logical_date: datetime | None = None,
        upstream: Any = None,
        **params: Any,
    ) -> Any:
        task = operator(task_id="task", model=self.model.to_json(), upstream=upstream)
        run = SimpleNamespace(
            run_type="backfill" if logical_date else "manual", logical_date=logical_date, run_after=NOW, start_date=NOW,
            dag_id="dag", run_id=run_id, triggering_user_name="ada",
        )  # fmt: skip
        events = OutletEventAccessors()
        self.page = None
        try:
            return task.execute({"dag_run": run, "params": params, "outlet_events": events})
        finally:
            self.events = {asset.uri: event.extra for asset, event in events.items() if isinstance(asset, Asset)}
            aliased = [one for event in events.values() for one in event.asset_alias_events]
            self.events |= {one.dest_asset_key.uri: one.extra for one in aliased}
            self.page = getattr(task, "page", None)

    def score(self, number: int) -> Any:
        pinned = self.run(IngestInterval, logical_date=month(number))
        return self.run(Score, logical_date=month(number), upstream=pinned)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    deployment = Deployment(tmp_path_factory.mktemp("deployment"))
    for number in (4, 7):
        run_chain(deployment.store, deployment.model, deployment.folder, month(number))
    return deployment


@pytest.fixture
def deployment(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("RATCHET_STORE", made.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(made.folder.parent))
    return made


def test_scores_are_handed_over_as_small_facts_and_go_out_as_an_event(deployment: Deployment) -> None:
    done = deployment.score(6)
    facts = {"version": done["version"], "after": "2024-05-01T00:00:00Z", "until": "2024-06-01T00:00:00Z"}
    facts |= {"rows": done["rows"], "out_of_domain": done["out_of_domain"]}
    assert deployment.events == {"x-ratchet://parcels/scores": facts}
    assert done["rows"] > 100 and len(done["scores"]) == 64


def test_scores_are_delivered_to_each_place_and_go_out_as_an_event(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Airflow's providers of databases are not among what tests install.
    engine = sa.create_engine(f"sqlite:///{tmp_path}/warehouse.db")
    monkeypatch.setattr(AirflowConnections, "sql", lambda self, connection: {"warehouse": engine}[connection])
    done = deployment.score(6)
    places = [
        {"kind": "table", "connection": "warehouse", "table": "parcel_scores"},
        {"kind": "files", "path": (tmp_path / "lake").as_uri(), "connection": None},
    ]
    for place in places:
        facts = deployment.run(partial(Deliver, place=place), logical_date=month(6), upstream=done)
        assert (facts["rows_changed"], facts["version"], facts["superseded"]) == (done["rows"], done["version"], [])
        assert deployment.events == {"x-ratchet://parcels/delivered": facts}
        again = deployment.run(partial(Deliver, place=place), logical_date=month(6), upstream=done)
        assert again["rows_changed"] == 0
    with sqlite3.connect(tmp_path / "warehouse.db") as database:
        assert database.execute("SELECT count(*) FROM parcel_scores").fetchone() == (done["rows"],)
    assert (tmp_path / "lake" / "parcels" / "manifests").is_dir()


def test_before_the_first_champion_a_run_is_skipped_and_says_what_to_do(deployment: Deployment) -> None:
    with pytest.raises(AirflowSkipException, match="Run retrain_parcels"):
        deployment.score(4)
    assert deployment.events == {}


def test_an_interval_without_rows_is_skipped(deployment: Deployment) -> None:
    with pytest.raises(AirflowSkipException, match="nothing to score"):
        deployment.score(15)


def test_the_champion_is_reproduced_and_the_page_linked(deployment: Deployment) -> None:
    done = deployment.run(Reproduce, version=None)
    assert (done["version"], done["outcome"], done["differences"]) == (deployment.champion, "IDENTICAL", 0)
    assert deployment.page is not None
    assert deployment.store.exists(f"{deployment.page}.html")


def test_a_version_that_does_not_reproduce_fails_for_good_with_its_page_linked(deployment: Deployment) -> None:
    assert deployment.champion is not None
    version = load_version(deployment.store, "parcels", deployment.champion)
    with (
        changed(deployment, f"models/{version.model_file}.skops", lambda body: body[:-1]),
        capture_logs() as lines,
        pytest.raises(AirflowFailException),
    ):
        deployment.run(Reproduce, version=deployment.champion)
    assert any("record model file" in line["event"] for line in lines)
    assert deployment.page is not None
    assert b"record" in deployment.store.get(f"{deployment.page}.html")


def test_a_record_that_is_not_the_one_on_record_fails_for_good(deployment: Deployment) -> None:
    assert deployment.champion is not None
    version = load_version(deployment.store, "parcels", deployment.champion)
    with (
        changed(deployment, f"fits/{version.fit}.json", lambda body: body.replace(b'"seed":', b'"seed":9')),
        capture_logs() as lines,
        pytest.raises(AirflowFailException),
    ):
        deployment.run(Reproduce, version=deployment.champion)
    assert any(f"fits/{version.fit}" in line["event"] for line in lines)


@contextmanager
def changed(deployment: Deployment, key: str, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Change an object behind the store's back for a while."""
    path = deployment.store.root / "parcels" / key
    body = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(change(body))
    try:
        yield
    finally:
        path.write_bytes(body)


def test_a_misspelt_version_fails_for_good_with_the_nearest(deployment: Deployment) -> None:
    assert deployment.champion is not None
    with capture_logs() as lines, pytest.raises(AirflowFailException, match="There is no version"):
        deployment.run(Reproduce, version=deployment.champion[:-1] + "x")
    assert any(f"did you mean {deployment.champion}" in line["event"] for line in lines)


def test_a_reading_is_taken_back_once_and_what_was_trained_on_it_is_named(deployment: Deployment) -> None:
    champion = Ledger(deployment.store, "parcels").version(str(deployment.champion))
    newest = Snapshot.load(deployment.store, "parcels", champion.snapshot).partitions[-2]
    form = {"partition": newest.slot, "reading": newest.content[:12], "reason": "wrong units", "restore": False}
    with capture_logs() as lines:
        done = deployment.run(Retract, **form)
    assert (done["reading"], done["rows"], done["versions"]) == (newest.content, 0, 1)
    assert any(f"Versions trained or evaluated on it: {champion.id}." == line["event"] for line in lines)
    assert deployment.run(Retract, **form) == done
    catalogue = Catalogue(
        deployment.store, "parcels", Snapshot.load(deployment.store, "parcels", champion.snapshot).source
    )
    (event,) = [entry.body["retracted"] for entry in catalogue.entries if entry.kind == "retracted"]
    assert event["actor"]["user"] == "ada" and event["reason"] == "wrong units"
    restored = deployment.run(Retract, **form | {"restore": True, "reason": "it was right"})
    assert restored["in_force"] == newest.content
    with pytest.raises(AirflowFailException, match="No reading of this partition"):
        deployment.run(Retract, **form | {"reading": "000000"})


def test_a_rollback_puts_the_champion_before_in_force_once_and_announces_it(deployment: Deployment) -> None:
    withdrawn = deployment.champion
    done = deployment.run(Withdraw, run_id="rollback", version=None, reason="wrong units")
    assert (done["withdrawn"], done["champion"]) == (withdrawn, deployment.champion)
    assert deployment.champion not in (None, withdrawn)
    assert deployment.run(Withdraw, run_id="rollback", version=None, reason="wrong units") == done
    event = deployment.events["x-ratchet://parcels/champion"]
    assert (event["version"], event["before"]) == (deployment.champion, withdrawn)
    assert event["event"] == len(Ledger(deployment.store, "parcels").entries()) - 1


def test_a_rebuild_after_an_upgrade_emits_the_champion_event_and_finds_itself_when_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = Deployment(tmp_path)
    with monkeypatch.context() as then:
        then.setattr(recipe, "version", lambda name: "1.0.0" if name == "scikit-learn" else version_here(name))
        run_chain(older.store, older.model, older.folder, month(4))
    monkeypatch.setenv("RATCHET_STORE", older.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(older.folder.parent))
    before = older.champion
    done = older.run(Reproduce, version=None, rebuild=True, tolerance=0.001)
    assert (done["version"], done["rebuilt"]) == (before, older.champion) and before != older.champion
    event = older.events["x-ratchet://parcels/champion"]
    assert (event["before"], event["version"]) == (before, older.champion)
    assert older.page is not None and b"holdout" in older.store.get(f"{older.page}.html")
    assert older.run(Reproduce, version=None, rebuild=True, tolerance=0.001) == done
    assert older.events["x-ratchet://parcels/champion"] == event
    with pytest.raises(AirflowFailException, match="nothing to rebuild"):
        older.run(Reproduce, run_id="another", version=None, rebuild=True, tolerance=0.001)
