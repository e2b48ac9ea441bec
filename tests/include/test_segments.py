"""One model per segment: trained, judged and promoted by what does so for the model of all rows, each with its own ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import NOW, Run, month, objects
from segmented import CARRIERS, declare_segments, opposed, retrain_one, run_segments
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.segment_log import SegmentLog, segment_models
from include.data.segments import SegmentList, list_segments
from include.data.snapshots import Snapshot
from include.errors import ConfigError
from include.notebook import load_champion
from include.registry.ledger import Ledger
from include.registry.verification import verify_version
from include.registry.versions import fit_of
from include.retention.erase import erase
from include.retention.people import People
from include.segments import UNTRAINED, SegmentOutcome
from include.storage.local import LocalStore


@dataclass
class Place:
    """A model with segments, and what two months of it came to."""

    store: LocalStore
    model: ModelConfig
    folder: Path
    found: list[SegmentList]
    done: list[dict[str, SegmentOutcome]]

    def ledger(self, segment: str) -> Ledger:
        return Ledger(self.store, f"parcels/segments/{segment}")

    def pooled(self, number: int) -> tuple[str, Snapshot]:
        """Return the version of all rows of a month's run, and the rows that it was made of."""
        ledger = Ledger(self.store, "parcels")
        (version,) = (one.version for one in ledger.timeline().standings if one.as_of == month(number))
        return version, Snapshot.load(self.store, "parcels", ledger.version(version).snapshot)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("segments")
    model, store = declare_segments(folder / "parcels"), LocalStore(folder / "store")
    runs = [run_segments(store, model, folder / "parcels", month(number)) for number in (4, 5)]
    return Place(store, model, folder / "parcels", [one[0] for one in runs], [one[1] for one in runs])


def test_each_segment_is_promoted_only_where_it_beats_the_model_of_all_rows(place: Place) -> None:
    outcomes = {name: one.outcome for name, one in place.done[0].items()}
    assert [one.name for one in place.found[0].levels] == list(CARRIERS)
    assert outcomes["ant"] == outcomes["bee"] == "PROMOTE"
    assert outcomes["cat"] != "PROMOTE", "nothing tells which of its parcels are late"
    reason = place.done[0]["ant"].reason
    assert reason.startswith("roc_auc better than the model of all rows: gain +"), reason
    assert place.ledger("cat").timeline().champion is None


def test_a_segment_has_a_ledger_of_its_own_which_everything_that_reads_ledgers_reads(place: Place) -> None:
    ledger = place.ledger("ant")
    (first, second) = ledger.timeline().standings
    assert second.decision is not None and second.decision.incumbent == first.version
    assert ledger.timeline().champion_as_of(month(4)) == first.version
    assert ledger.verify() == len(ledger.entries())
    verify_version(ledger, first.version, place.folder)
    assert ledger.compare(second.decision) is not None
    assert not {"ant", "bee"} & {part for key in place.store.list("parcels/ledger/") for part in key.split("/")}


def test_rows_are_stored_once_and_each_segment_is_trained_on_its_own(place: Place) -> None:
    assert not [key for key in place.store.list("parcels/segments/") if "/partitions/" in key or "/quarantine/" in key]
    version = place.ledger("bee").version(str(place.done[0]["bee"].version))
    snapshot = Snapshot.load(place.store, "parcels/segments/bee", version.snapshot)
    rows = pd.read_parquet(place.folder / "rows.parquet")
    train, holdout = snapshot.split.train, snapshot.split.holdout
    own = rows[(rows["carrier"] == "bee") & (rows["weight"] >= 0)]
    learned = own[(own["sent_at"] > train.after) & (own["sent_at"] <= train.until)]
    judged = own[(own["sent_at"] > holdout.after) & (own["sent_at"] <= holdout.until)]
    decision = place.ledger("bee").timeline()[version.id].decision
    assert decision is not None
    evidence = place.ledger("bee").compare(decision)
    assert evidence is not None
    assert fit_of(place.store, version).train.rows == len(learned) == place.found[0]["bee"].rows
    assert evidence.evidence.holdout.rows == len(judged)


def test_the_error_of_the_gate_is_divided_among_the_segments(place: Place) -> None:
    decision = place.ledger("ant").timeline().standings[0].decision
    assert decision is not None
    declared = place.ledger("ant").config(decision.config)
    share = (1 - place.model.gate.primary.confidence) / len(CARRIERS)
    assert declared.gate.primary.confidence == pytest.approx(1 - share)
    assert decision.primary["confidence"] == declared.gate.primary.confidence
    assert declared.evaluation.resamples * share >= 10, "the bound is no question of chance"


def test_a_killed_task_is_repeated_and_other_segments_and_orders_change_nothing(place: Place, tmp_path: Path) -> None:
    before = objects(place.store)
    for found, done, number in zip(place.found, place.done, (4, 5), strict=True):
        pooled, checked = place.pooled(number)
        for name in reversed(CARRIERS):
            again = retrain_one(place.store, place.model, place.folder, checked, found, name, pooled)
            assert again.outcome == done[name].outcome
    assert objects(place.store) == before

    other = LocalStore(tmp_path / "store")
    for number in (5, 4):
        run_segments(other, place.model, place.folder, month(number))
    for name in CARRIERS:
        mirrored, ledger = Ledger(other, f"parcels/segments/{name}").timeline(), place.ledger(name).timeline()
        assert mirrored.champions() == ledger.champions()
        assert {one.version: one.decision and one.decision.outcome for one in mirrored.standings} == {
            one.version: one.decision and one.decision.outcome for one in ledger.standings
        }


def test_a_dry_run_leaves_no_version_on_record(place: Place, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "store")
    _, done = run_segments(store, place.model, place.folder, month(4), dry=True)
    assert done["ant"].outcome == "PROMOTE"
    assert not Ledger(store, "parcels/segments/ant").entries()


def test_a_segment_that_cannot_be_trained_says_why_and_stops_no_other(tmp_path: Path) -> None:
    rows = opposed()
    rows.loc[rows["carrier"] == "cat", "late"] = False  # one class alone
    rows["carrier"] = rows["carrier"].astype(object)
    rows.loc[rows.index[::97], "carrier"] = None
    rows.loc[rows.index[5::60], "carrier"] = "EMU & Söhne/../"
    model = declare_segments(tmp_path / "parcels", rows, "{column: carrier, min_rows: 110}")
    path = tmp_path / "parcels" / "model.yaml"
    path.write_text(
        path.read_text().replace("value_set: [ant, bee, cat]", "value_set: [ant, bee, cat, EMU & Söhne/../]")
    )
    model, store = load_model(path), LocalStore(tmp_path / "store")
    found, done = run_segments(store, model, tmp_path / "parcels", month(4))
    assert (found.rare, found.missing > 0) == (1, True), "a level that is too rare is no segment"
    assert done["cat"].outcome == UNTRAINED and "class" in done["cat"].reason
    assert done["ant"].outcome == "PROMOTE"
    assert SegmentLog(store, "parcels").why_untrained()["cat"] == (month(4), done["cat"].reason)
    assert not Ledger(store, "parcels/segments/cat").entries()


def test_more_segments_than_declared_are_refused_before_any_is_trained(place: Place) -> None:
    wanted = place.model.model_copy(
        update={"segments": place.model.segments.model_copy(update={"at_most": 2})}  # type: ignore[union-attr]
    )
    _, snapshot = place.pooled(4)
    with pytest.raises(ConfigError, match=r"more segments than .* allows") as refused:
        list_segments(place.store, wanted, snapshot)
    assert "found: 3" in str(refused.value) and "segments.min_rows" in str(refused.value)


@pytest.mark.parametrize(
    ("column", "said"), [("carier", "did you mean `carrier`"), ("weight", "float"), ("sent_at", "timestamp")]
)
def test_a_column_that_has_no_levels_is_refused(place: Place, column: str, said: str) -> None:
    wanted = place.model.model_copy(
        update={"segments": place.model.segments.model_copy(update={"column": column})}  # type: ignore[union-attr]
    )
    _, snapshot = place.pooled(4)
    with pytest.raises(ConfigError, match="Segments can't be made of") as refused:
        list_segments(place.store, wanted, snapshot)
    assert said in str(refused.value)


def test_levels_that_a_record_can_not_hold_are_refused(tmp_path: Path) -> None:
    rows = opposed()
    rows["carrier"] = rows["carrier"].map({"ant": 2**60, "bee": 2**60 + 1, "cat": 7}).astype("int64")
    model, store = declare_segments(tmp_path / "parcels", rows), LocalStore(tmp_path / "store")
    done = Run(model, tmp_path / "parcels", month(4)).do("ingest", store, {})
    snapshot = Snapshot.load(store, "parcels", done["ingest"]["snapshot"])
    with pytest.raises(ConfigError, match="`carrier` are larger numbers than a record can hold"):
        list_segments(store, model, snapshot)


def test_commands_and_notebooks_take_a_segment_by_its_level(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_STORE", place.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(place.folder.parent))
    first, second = place.ledger("ant").timeline().standings

    def typed(*words: str) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == 0, f"{words}: {done.output}{done.exception!r}"
        return done.output

    assert typed("champion", "parcels/ant").startswith(first.version)
    assert second.version in typed("history", "parcels/segments/ant")
    assert second.version in typed("versions", "parcels/ant")
    assert "wrong" not in typed("verify", "parcels/ant")
    assert "0 would differ" in typed("replay", "parcels/ant")
    assert "roc_auc" in typed("compare", "parcels/ant", first.version, second.version)
    assert isinstance((failed := CliRunner().invoke(app, ["champion", "parcels/dog"])).exception, ConfigError)
    assert "retrain_parcels" in str(failed.exception)
    assert load_champion("parcels/ant").id == first.version


def test_erasing_people_looks_into_segments(place: Place) -> None:
    assert segment_models(place.store, "parcels") == [f"parcels/segments/{name}" for name in CARRIERS]
    rows = pd.read_parquet(place.folder / "rows.parquet")
    golden = [key for key in place.store.list("parcels/segments/ant/golden/") if key.endswith(".parquet")]
    parcel = pq.read_table(pa.BufferReader(place.store.get(golden[0])))["parcel"][0].as_py()
    assert rows.set_index("parcel").loc[parcel, "carrier"] == "ant"
    told = erase(place.store, place.model, People(("parcel",), frozenset({(str(parcel),)})), at=NOW)
    versions = [one.version for one in place.ledger("ant").timeline().standings]
    holding = [
        key
        for folder in ("parcels/golden/", "parcels/segments/ant/golden/")
        for key in place.store.list(folder)
        if key.endswith(".parquet")
        and parcel in pq.read_table(pa.BufferReader(place.store.get(key)))["parcel"].to_pylist()
    ]
    assert golden[0] in holding and told.objects["golden"] == len(holding) and set(versions) <= set(told.versions)
