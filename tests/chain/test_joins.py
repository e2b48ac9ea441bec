"""A model with a second source goes the whole way, and what is joined is the same wherever it is needed."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from chain_run import NOW, declare, month, objects, run_chain
from postgres_server import postgres_server

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest, ingest_window
from include.data.snapshots import Snapshot
from include.data.stored_partitions import in_parts
from include.data.windows import Window
from include.errors import DataError, SourceError
from include.registry.ledger import Ledger
from include.registry.version_states import Outcome as Decided
from include.reproduction.report import Kind, Outcome
from include.reproduction.reproduce import reproduce
from include.scoring.golden import check_golden, load_golden
from include.scoring.predictor import open_predictor
from include.scoring.score import score
from include.storage.local import LocalStore

JOIN = """
  joins:
    - name: depot
      source:
        kind: files
        path: depots.csv
        format: csv
        columns: {company: {type: string}, seen: {type: timestamp}, told: {type: timestamp}, queue: {type: float}, crew: {type: string}, trucks: {type: integer}}
      on: {carrier: company}
      valid_from: seen
      known_at: told
      timezone: Europe/Berlin
      columns: [queue, crew]
      within: 3d
      windows: [{over: 7d, count: true, sum: [queue], mean: [trucks]}]
"""
FEATURES = """
def derive(frame):
    return frame.assign(evening=frame["sent_at"].dt.hour >= 18, per_truck=frame["depot_queue"] / frame["depot_trucks_mean_7d"])
"""
JOINED = ["depot_queue", "depot_crew", "depot_count_7d", "depot_queue_sum_7d", "depot_trucks_mean_7d"]


def depots() -> pd.DataFrame:
    """Return what depots say about themselves, some hours late, in the local time of Berlin; some of it they correct later."""
    rng = np.random.default_rng(11)
    hours = pd.date_range("2023-12-20", "2024-12-31", freq="7h")
    parts = [pd.DataFrame({"company": name, "seen": hours}) for name in ("ant", "bee")]
    frame = pd.concat(parts, ignore_index=True)
    count = len(frame)
    frame["told"] = frame["seen"] + pd.to_timedelta(rng.integers(0, 72, count), unit="h")
    frame["queue"] = np.where(rng.random(count) < 0.1, np.nan, rng.gamma(2, 3, count).round(3))
    frame["crew"] = rng.choice(["day", "night"], count)
    frame["trucks"] = rng.integers(1, 9, count)
    again = frame.iloc[rng.choice(count, count // 10, replace=False)]
    again = again.assign(told=again["told"] + pd.Timedelta("2D"), queue=again["queue"] + 10)
    both = pd.concat([frame, again]).sample(frac=1, random_state=3)
    # The hours that Berlin's clocks skip or show twice are no instants, or two.
    spoilt = [
        both[name].dt.date.isin([datetime(2024, 3, 31).date(), datetime(2024, 10, 27).date()])
        for name in ("seen", "told")
    ]
    return both[~(spoilt[0] | spoilt[1])].drop_duplicates(["company", "seen", "told"], ignore_index=True)


def declared(folder: Path, join: str = JOIN) -> ModelConfig:
    declare(folder)
    text = (folder / "model.yaml").read_text()
    text = text.replace("quality:\n", f"{join.strip(chr(10))}\nquality:\n", 1)
    numeric, categorical = "distance, evening", "{columns: [carrier]}"
    text = text.replace(numeric, f"{numeric}, per_truck, depot_queue, depot_queue_sum_7d, depot_count_7d")
    text = text.replace(categorical, "{columns: [carrier, depot_crew], impute: mode}")
    text = text.replace("numeric: {", "numeric: {impute: median, ")
    (folder / "model.yaml").write_text(text)
    (folder / "features.py").write_text(FEATURES)
    return load_model(folder / "model.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "parcels"
    declare(place)
    depots().to_csv(place / "depots.csv", index=False)
    return place


@pytest.fixture(scope="module")
def model(folder: Path) -> ModelConfig:
    return declared(folder)


@pytest.fixture(scope="module")
def trained(folder: Path, model: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """Three months, oldest first."""
    store = LocalStore(tmp_path_factory.mktemp("forwards"))
    for number in (4, 5, 6):
        run_chain(store, model, folder, month(number))
    return store


def snapshot_of(store: LocalStore, version: str) -> Snapshot:
    return Snapshot.load(store, "parcels", Ledger(store, "parcels").version(version).snapshot)


def champion(store: LocalStore) -> str:
    found = Ledger(store, "parcels").timeline().champion
    assert found is not None
    return found


def test_a_backfill_in_any_order_stores_the_same_rows_models_and_decisions(trained, folder, model, tmp_path):
    store = LocalStore(tmp_path)
    for number in (6, 4, 5):
        run_chain(store, model, folder, month(number))
    passing = ("ledger", "log", "evidence", "index", "cards")
    ours, theirs = (
        {k: v for k, v in objects(one).items() if k.split("/")[-2] not in passing} for one in (store, trained)
    )
    assert ours == theirs
    decided = [
        [(one.version, one.decision.outcome, one.decision.incumbent, one.decision.evidence) for one in ledger.standings]
        for ledger in (Ledger(place, "parcels").timeline() for place in (store, trained))
    ]
    assert decided[0] == decided[1]
    assert decided[0][0][1] is Decided.PROMOTE


def test_a_champion_reads_joined_columns_in_training_batch_and_golden_rows_bit_by_bit(trained, folder, model):
    version = champion(trained)
    with open_predictor(trained, model, folder, version) as predictor:
        assert {"depot_queue", "depot_crew", "per_truck"} <= set(predictor.fit.columns)
        assert set(JOINED) <= set(predictor.schema), "a request brings them"
        (golden,) = load_golden(trained, "parcels", version)
        check_golden(predictor, golden)
    snapshot = snapshot_of(trained, version)
    whole = read_rows(trained, snapshot, model, folder, window="holdout")
    assert whole["depot_queue"].notna().mean() > 0.4
    # What a day's batch reads is another part of both sources: every value is still the same.
    end = snapshot.split.holdout.until
    days = [Window(end - timedelta(days=number), end - timedelta(days=number - 1)) for number in (3, 9)]
    for day in days:
        rows = ingest_window(trained, model, folder, day, at=NOW, connections=None)  # type: ignore[arg-type]
        part = read_rows(trained, rows, model, folder, window="holdout", labelled=False)
        both = part.merge(whole, on="parcel", suffixes=("", "__then"))
        assert len(both) > 3
        for name in JOINED:
            now, then = both[name].astype(object), both[f"{name}__then"].astype(object)
            assert (now.isna() == then.isna()).all()
            assert (now[now.notna()] == then[then.notna()]).all()


def test_scores_are_published_for_rows_that_are_joined(trained, folder, model):
    day = Window(month(6), month(6) + timedelta(days=1))
    rows = ingest_window(trained, model, folder, day, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(trained, model, folder, rows, at=NOW)
    assert manifest is not None
    assert manifest.rows > 3


def test_a_version_with_a_join_is_reproduced_byte_for_byte_and_late_rows_of_the_second_source_are_named(
    trained, model, folder, tmp_path
):
    version = champion(trained)
    report = reproduce(trained, model, folder, version, at=NOW, connections=None)  # type: ignore[arg-type]
    assert report.outcome is Outcome.IDENTICAL
    assert report.differences == ()
    late = tmp_path / "parcels"
    declared(late)
    more = depots()
    changed = more["seen"].between("2024-02-01", "2024-02-20")
    pd.concat([more, more[changed].assign(told=more["told"] + pd.Timedelta("90D"), queue=99.0)]).to_csv(
        late / "depots.csv", index=False
    )
    again = reproduce(trained, model, late, version, at=NOW, connections=None)  # type: ignore[arg-type]
    assert again.outcome is Outcome.IDENTICAL
    (found,) = [one for one in again.differences if one.kind is Kind.ROWS]
    assert "join `depot`, partition 2024-02" in str(found)


def test_what_the_second_source_learns_later_changes_no_row_before(trained, model, folder, tmp_path):
    """The same rows, once with the second source as it was by then and once with all its corrections, to the last bit."""
    past = tmp_path / "parcels"
    declared(past)
    frame = depots()
    frame[frame["told"] <= pd.Timestamp("2024-04-15")].to_csv(past / "depots.csv", index=False)
    store, then = LocalStore(tmp_path / "store"), datetime.fromisoformat("2024-04-15T00:00:00+00:00")
    found = []
    for place, code in ((store, past), (trained, folder)):
        pinned = ingest(place, model, code, as_of=then, at=NOW, connections=None)  # type: ignore[arg-type]
        found.append(read_rows(place, pinned, model, code, window="both"))
    pd.testing.assert_frame_equal(*found)
    assert found[0]["depot_count_7d"].max() > 10


class Opened:
    """A database behind a connection."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    def sql(self, connection: str) -> sa.Engine:
        assert connection == "warehouse"
        return self.engine

    def s3(self, connection: str | None) -> Any:
        raise AssertionError(connection)

    spark = s3


QUERY = 'query: "SELECT * FROM depots WHERE seen >= :start AND seen < :end"'


@pytest.fixture(scope="module")
def expected(trained: LocalStore) -> dict[str, Any]:
    """What the first month left: models, and the partitions of the second source."""
    snapshot = snapshot_of(trained, Ledger(trained, "parcels").timeline().standings[0].version)
    return {"rows": [vars(one) for one in snapshot.joins[0].rows.partitions], "store": trained}


@pytest.mark.parametrize("kind", ["parquet", "sqlite", "postgres", "delta", "iceberg", "duckdb"])
def test_a_second_source_of_each_kind_goes_the_whole_way_as_a_file_does(
    kind: str, expected: dict[str, Any], tmp_path: Path
) -> None:
    home, frame = tmp_path / "m" / "parcels", depots()
    home.mkdir(parents=True)
    with ExitStack() as opened:
        connections: Any = None
        if kind in ("parquet", "duckdb"):
            frame.to_parquet(home / "depots.parquet", index=False, coerce_timestamps="us")
            source = "{kind: files, path: depots.parquet, format: parquet}"
            if kind == "duckdb":
                source = f"{{kind: duckdb, {QUERY}, tables: {{depots: {{path: depots.parquet, format: parquet}}}}}}"
        elif kind in ("sqlite", "postgres"):
            engine = (
                opened.enter_context(postgres_server())
                if kind == "postgres"
                else sa.create_engine(f"sqlite:///{tmp_path}/depots.db")
            )
            frame.to_sql("depots", engine, index=False)
            types = ", types: {seen: timestamp, told: timestamp}" if kind == "sqlite" else ""
            source, connections = f"{{kind: sql, connection: warehouse, {QUERY}{types}}}", Opened(engine)
        else:
            rows = pa.Table.from_pandas(
                frame.astype({"seen": "datetime64[us]", "told": "datetime64[us]"}), preserve_index=False
            )
            if kind == "delta":
                pytest.importorskip("deltalake").write_deltalake(str(home / "depots"), rows)
            else:
                catalog = pytest.importorskip("pyiceberg.catalog.sql").SqlCatalog(
                    "lake", uri=f"sqlite:///{tmp_path}/lake.db", warehouse=f"file://{tmp_path}"
                )
                catalog.create_namespace("world")
                table = catalog.create_table("world.depots", schema=rows.schema, location=str(home / "depots"))
                table.append(rows)
            source = f"{{kind: {kind}, path: depots}}"
        lines = JOIN.splitlines()
        first = next(number for number, line in enumerate(lines) if line.strip() == "source:")
        lines[first : first + 5] = [f"      source: {source}"]
        model = declared(home, "\n".join(lines) + "\n")
        store = LocalStore(tmp_path / "store")
        run_chain(store, model, home, month(4), connections=connections)
        version = Ledger(store, "parcels").timeline().standings[0].version
        pinned = snapshot_of(store, version).joins[0].rows.partitions
        # A batch of the file may lie in its own order, the content of a partition does not.
        assert [(one.slot, one.content) for one in pinned] == [
            (one["slot"], one["content"]) for one in expected["rows"]
        ]
        fits = {key: body for key, body in objects(store).items() if "/models/" in key}
        assert fits
        assert fits.items() <= objects(expected["store"]).items(), "the same rows make the same models"
        day = Window(month(6), month(6) + timedelta(days=1))
        rows_of_day = ingest_window(store, model, home, day, at=NOW, connections=connections)
        manifest = score(store, model, home, rows_of_day, at=NOW)
        assert manifest is not None
        assert manifest.rows > 3
        assert reproduce(store, model, home, version, at=NOW, connections=connections).differences == ()


def test_a_partition_of_a_second_source_is_read_once_a_task(trained, folder, model):
    class Counting(LocalStore):
        def get(self, key: str) -> bytes:
            read.append(key)
            return super().get(key)

    read: list[str] = []
    store = Counting(trained.root)
    snapshot = snapshot_of(trained, champion(trained))
    parts = [
        read_rows(store, snapshot, model, folder, window="both", labelled=False, among=among)
        for among in in_parts(snapshot, 1)
    ]
    whole = read_rows(trained, snapshot, model, folder, window="both", labelled=False)
    assert len(parts) > 2
    pd.testing.assert_series_equal(pd.concat(parts, ignore_index=True)["depot_queue"], whole["depot_queue"])
    partners = [key for key in read if f"/{snapshot.joins[0].rows.source[:12]}/" in key]
    assert len(partners) == len(set(partners)) > 3, "months overlap in what they reach"


def test_two_joins_of_one_source_read_it_once_a_run(folder, tmp_path, caplog):
    again = JOIN.partition("joins:\n")[2].replace("name: depot", "name: twin").replace("within: 3d", "within: 2d")
    model = declared(tmp_path / "parcels", JOIN + again.rstrip() + "\n")
    (tmp_path / "parcels" / "depots.csv").write_bytes((folder / "depots.csv").read_bytes())
    caplog.set_level("INFO")
    how = {"as_of": month(4), "at": NOW, "connections": None}
    snapshot = ingest(LocalStore(tmp_path / "store"), model, tmp_path / "parcels", **how)  # type: ignore[arg-type]
    depot, twin = snapshot.joins
    assert depot.rows.partitions == twin.rows.partitions
    assert depot.rule != twin.rule
    assert sum("reading" in one.message for one in caplog.records) == 2, "the model's own source, and this one"


@pytest.mark.parametrize(
    ("old", "new", "error", "message"),
    [
        (
            "columns: [queue, crew]",
            "columns: [queu]",
            DataError,
            "(?s)no column `queu`.*join `depot`.*did you mean `queue`",
        ),
        ("valid_from: seen", "valid_from: saw", SourceError, "(?s)no column `saw`.*join `depot`"),
        ("known_at: told", "row_id: trucks", SourceError, "(?s)same id.*join `depot`.*known_at"),
        ("name: depot", "name: par", None, ""),
    ],
)
def test_a_join_that_can_not_be_made_stops_the_ingestion_with_a_way_out(old, new, error, message, folder, tmp_path):
    model = declared(tmp_path / "parcels", JOIN.replace(old, new))
    (tmp_path / "parcels" / "depots.csv").write_bytes((folder / "depots.csv").read_bytes())
    store, how = LocalStore(tmp_path / "store"), {"as_of": month(4), "at": NOW, "connections": None}
    if error is None:
        assert "par_queue" in ingest(store, model, tmp_path / "parcels", **how).schema  # type: ignore[arg-type]
        return
    with pytest.raises(error, match=message):
        ingest(store, model, tmp_path / "parcels", **how)  # type: ignore[arg-type]
