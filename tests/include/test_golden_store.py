"""A store that an earlier release made opens, verifies, is scored from and retrained on: the promise to those who upgrade."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import numpy as np
import pytest
from chain_run import NOW, month, run_chain

from include.command_line.registry import verify
from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.evaluation.compared_models import open_model, score_rows
from include.registry.history.policy_replay import rejudge
from include.registry.ledger import Ledger
from include.reproduction.report import Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.content import get_json
from include.storage.local import LocalStore
from include.training.fit_record import FitRecord

STORES = sorted((Path(__file__).parents[1] / "golden").glob("store-*.zip"))
MODELS = ("parcels", "weights", "groups")


@dataclass(frozen=True)
class Golden:
    """A copy of a release's store and of the models' folders that it was made with."""

    root: Path

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    def folder(self, name: str) -> Path:
        return self.root / "models" / name

    def model(self, name: str) -> ModelConfig:
        return load_model(self.folder(name) / "model.yaml")


@pytest.fixture(scope="module", params=STORES, ids=lambda path: path.stem)
def release(request):
    return request.param


def opened(release: Path, root: Path) -> Golden:
    with ZipFile(release) as archive:
        archive.extractall(root)
    return Golden(root)


@pytest.fixture
def golden(release, tmp_path):
    return opened(release, tmp_path)


@pytest.fixture(scope="module")
def retrained(release, tmp_path_factory):
    """The same after one more retraining of each model."""
    golden = opened(release, tmp_path_factory.mktemp("retrained"))
    for name in MODELS:
        run_chain(golden.store, golden.model(name), golden.folder(name), month(11), at=NOW + timedelta(days=30))
    return golden


def test_every_fit_of_an_earlier_release_predicts_what_it_predicted_then(golden):
    expected = json.loads((golden.root / "expected.json").read_text())
    assert expected
    for place, values in expected.items():
        name, _, key = place.partition("/")
        fit = FitRecord.from_json(get_json(golden.store, f"{name}/fits/{key}.json"))
        model, own = golden.model(name), Snapshot.load(golden.store, name, fit.snapshot)
        columns = list(dict.fromkeys([*model.data.row_id, model.data.event_time, *fit.columns]))
        frame = read_rows(
            golden.store, own, model, golden.folder(name), window="holdout", columns=columns, labelled=False
        )[:25]
        found = score_rows(open_model(golden.store, fit), fit, frame).score
        np.testing.assert_allclose(found, values, rtol=1e-12, atol=0, err_msg=f"{place}: {fit.candidate}")


@pytest.mark.parametrize("name", MODELS)
def test_a_store_of_an_earlier_release_verifies(golden, name, monkeypatch):
    monkeypatch.setenv("RATCHET_STORE", (golden.root / "store").as_uri())
    monkeypatch.setenv("RATCHET_MODELS", str(golden.root / "models"))
    said: list[str] = []
    assert verify(name, said.append), "\n".join(said)
    assert all(one.outcome is one.recorded for one in rejudge(Ledger(golden.store, name)))


@pytest.mark.parametrize("name", MODELS)
def test_scores_of_an_earlier_release_are_made_again_to_the_byte(golden, name):
    model, window = golden.model(name), Window(month(10), month(11))
    before = Publication(golden.store, name, window).newest()
    snapshot = ingest_window(golden.store, model, golden.folder(name), window, at=NOW, connections=None)
    again = score(golden.store, model, golden.folder(name), snapshot, at=NOW + timedelta(days=20))
    assert before is not None and again == before


@pytest.mark.parametrize("name", MODELS)
def test_a_retraining_goes_on_where_an_earlier_release_ended(golden, retrained, name):
    before = Ledger(golden.store, name).timeline()
    after = Ledger(retrained.store, name).timeline()
    new = after.standings[-1]
    assert new.version not in before and new.decision is not None
    assert new.decision.incumbent == before.champion
    known = [(one.version, one.as_of, one.registered, one.withdrawn) for one in before.standings]
    assert [(one.version, one.as_of, one.registered, one.withdrawn) for one in after.standings[:-1]] == known


@pytest.mark.parametrize("name", MODELS)
def test_a_version_of_an_earlier_release_is_reproduced(golden, name):
    version = Ledger(golden.store, name).timeline().standings[0].version
    report = reproduce(golden.store, golden.model(name), golden.folder(name), version, at=NOW, connections=None)
    assert report.outcome in (Outcome.IDENTICAL, Outcome.EQUAL), report.sentence


def test_nothing_that_is_stored_names_a_module_of_ours(golden, retrained):
    """The store that the last retraining left holds new files beside those of the earlier release."""
    known = set(golden.store.list(""))
    made = [key for key in retrained.store.list("") if key not in known]
    assert len(made) > 20 and {key.partition("/")[0] for key in made} == set(MODELS)
    for key in made:
        path = retrained.store.root / key
        if is_zipfile(path):
            with ZipFile(path) as archive:
                bodies = [archive.read(member) for member in archive.namelist()]
        else:
            bodies = [path.read_bytes()]
        for body in bodies:
            assert not re.search(rb"\binclude\.[a-z_]+\.|\bratchet_operators\b", body), key
