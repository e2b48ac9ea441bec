"""A whole run with `training.engine: dask` beside the same in memory: one holdout, one evidence, one way on from there."""

from __future__ import annotations

import pytest

from include.evaluation.evidence import Evidence, load_evidence
from include.evaluation.gains import Measured
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.registry.versions import fit_of
from tests.chain_run import month, parcels, run_chain
from tests.include.training.out_of_core.conftest import Shelf, shelve

EVALUATION = "{metrics: [roc_auc, brier], slices: [carrier, evening], resamples: 200}"
CLOSE = 0.02
"""How far measures of trees grown by two workers are from those of one process, on some 500 rows; linear models are nearer."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, address: str) -> dict[str, tuple[Shelf, list[Evidence]]]:
    found = {}
    frame = parcels(rows=6000)
    frame["late"] = frame["late"].astype("boolean")
    frame.loc[frame.index % 40 == 7, "late"] = None  # rows without a label
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RATCHET_DASK", address)
        for name, engine in (("alone", ""), ("together", "  engine: dask\n")):
            shelf = shelve(tmp_path_factory.mktemp(name), frame, training=engine, evaluation=EVALUATION)
            kept = []
            for number in (10, 11):
                done = run_chain(shelf.store, shelf.model, shelf.folder, month(number))
                kept.append(load_evidence(shelf.store, shelf.model.name, done["evaluate"]["evidence"]))
            found[name] = (shelf, kept)
    return found


def test_the_same_rows_are_judged(runs: dict[str, tuple[Shelf, list[Evidence]]]) -> None:
    for alone, together in zip(runs["alone"][1], runs["together"][1], strict=True):
        assert together.holdout == alone.holdout
        assert together.unlabelled == alone.unlabelled
        assert together.unlabelled is not None and together.unlabelled[0].unlabelled > 0
        assert together.units == alone.units
        assert together.notes == alone.notes
        assert [(s.column, s.level, s.support) for s in together.slice_scores] == [
            (s.column, s.level, s.support) for s in alone.slice_scores
        ]
        assert together.coverage == alone.coverage
        assert together.subjects["challenger"].train_rows == alone.subjects["challenger"].train_rows


def test_what_is_measured_is_as_near_as_the_fits_are(runs: dict[str, tuple[Shelf, list[Evidence]]]) -> None:
    def near(one: Measured, other: Measured, close: float) -> None:
        assert one.value == pytest.approx(other.value, abs=close)

    for alone, together in zip(runs["alone"][1], runs["together"][1], strict=True):
        assert set(together.scores) == set(alone.scores)
        for metric in ("roc_auc", "brier"):
            assert together.scores["trivial"][metric].value == alone.scores["trivial"][metric].value
            near(together.scores["simple"][metric], alone.scores["simple"][metric], 1e-3)
            near(together.scores["challenger"][metric], alone.scores["challenger"][metric], CLOSE)
        assert together.train is not None and alone.train is not None
        assert (together.train.rows, together.train.of) == (alone.train.rows, alone.train.of)
        assert {one.column for one in together.importance} == {one.column for one in alone.importance}


def test_every_tripwire_is_asked_and_clear(runs: dict[str, tuple[Shelf, list[Evidence]]]) -> None:
    for alone, together in zip(runs["alone"][1], runs["together"][1], strict=True):
        assert together.tripwires is not None and alone.tripwires is not None
        assert [(w.name, w.state) for w in together.tripwires] == [(w.name, w.state) for w in alone.tripwires]
        assert {w.state for w in together.tripwires} == {"clear"}


def test_the_champions_record_names_its_engine_and_the_ledger_verifies(
    runs: dict[str, tuple[Shelf, list[Evidence]]],
) -> None:
    champions = {}
    for name, (shelf, _) in runs.items():
        ledger = Ledger(shelf.store, shelf.model.name)
        champion = ledger.timeline().champion
        assert champion is not None
        assert fit_of(shelf.store, ledger.version(champion)).engine == ("dask" if name == "together" else None)
        assert [one for one in verify(ledger, shelf.folder) if one.state == "wrong"] == []
        champions[name] = champion.partition("-")[0]
    assert champions["alone"] == champions["together"]
