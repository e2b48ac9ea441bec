from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from include.config.durations import Duration
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.data.row_digests import rows_digest
from include.data.stored_partitions import POSITION, SLOT
from include.errors import DataError, NotEnoughRows
from include.storage.content import put_content
from include.storage.local import LocalStore

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
FILE = {"kind": "files", "path": "rows.parquet", "format": "parquet"}


def frame_of(times: list[datetime], **columns: Any) -> pd.DataFrame:
    count = len(times)
    rows = {"id": np.arange(count), "at": pd.DatetimeIndex(times).as_unit("us"), "x": np.arange(count) / 2}
    return pd.DataFrame(
        {**rows, "y": np.arange(count) % 2 == 0, "c": [f"level {n % 3}" for n in range(count)], **columns}
    )


DAILY = [AS_OF - timedelta(days=days, hours=1) for days in range(100)]


@pytest.fixture
def pin(folder, local_store, doors, read_at):
    def pin(frame: pd.DataFrame, model: Any, as_of: datetime = AS_OF, store: Any = local_store) -> Any:
        frame.to_parquet(folder / "rows.parquet", index=False)
        return ingest(store, model, folder, as_of=as_of, at=read_at, connections=doors())

    return pin


@pytest.fixture
def rows(pin, folder, model_of, tmp_path_factory):
    def rows(frame: pd.DataFrame, derive: str | None = None, **how: Any) -> pd.DataFrame:
        model, store = model_of(FILE, derive=derive), LocalStore(tmp_path_factory.mktemp("store"))
        return read_rows(store, pin(frame, model, store=store), model, folder, **{"window": "both", **how})

    return rows


def test_rows_come_by_event_time_and_then_by_id(rows) -> None:
    frame = frame_of(DAILY + DAILY).sample(frac=1, random_state=0)
    read = rows(frame)
    expected = frame[frame["at"] > AS_OF - pd.DateOffset(months=3)].sort_values(["at", "id"])
    assert list(read["id"]) == list(expected["id"])
    assert read.index.equals(pd.RangeIndex(len(read)))


def test_texts_are_categories_of_the_levels_that_rows_have(rows) -> None:
    levels = ["old"] + [["b", "a", None][n % 3] for n in range(98)] + ["older"]
    read = rows(frame_of(DAILY, c=["b", "a", *levels[1:99]]), window="holdout")["c"]
    assert list(read.cat.categories) == ["a", "b"]
    assert read.isna().any()


def test_integers_and_truths_with_gaps_keep_their_values(rows) -> None:
    gaps = pd.array([None if n % 5 == 0 else n for n in range(100)], dtype="Int64")
    big = pd.array([None if n % 5 == 0 else 2**53 + n for n in range(100)], dtype="Int64")
    truth = pd.array([None if n % 5 == 0 else n % 2 == 0 for n in range(100)], dtype="boolean")
    read = rows(frame_of(DAILY, gaps=gaps, big=big, truth=truth)).sort_values("id")
    assert str(read["gaps"].dtype) == "float64"
    assert int(read.loc[read["id"] == 3, "big"].iloc[0]) == 2**53 + 3
    assert str(read["truth"].dtype) == "boolean"
    assert str(rows(frame_of(DAILY))["id"].dtype) == "int64"


def test_only_the_columns_asked_for_are_read_in_their_order(rows) -> None:
    assert list(rows(frame_of(DAILY), columns=["x", "c"]).columns) == ["x", "c"]
    with pytest.raises(DataError, match="did you mean `c1`|There is no column"):
        rows(frame_of(DAILY), columns=["x", "cc"])


def test_rows_without_a_label_take_part_only_on_request(rows) -> None:
    frame = frame_of(DAILY, y=pd.array([None if n % 2 else True for n in range(100)], dtype="boolean"))
    labelled = rows(frame)
    assert str(labelled["y"].dtype) == "bool"
    assert len(rows(frame, labelled=False)) > len(labelled)
    with pytest.raises(NotEnoughRows, match="no row with a label"):
        rows(frame.assign(y=pd.array([None] * 100, dtype="boolean")))


def test_quarantined_rows_are_left_out_and_others_keep_their_positions(pin, folder, local_store, model_of) -> None:
    model = model_of(FILE)
    snapshot = pin(frame_of(DAILY), model)
    before = read_rows(local_store, snapshot, model, folder, window="both", positions=True)
    chosen = before.iloc[[0, 40, -1]]
    table = pa.table({"slot": chosen[SLOT].astype(str).to_numpy(), "position": chosen[POSITION].to_numpy()})
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    digest = put_content(local_store, "shop/quarantine", ".parquet", sink.getvalue().to_pybytes())
    after = read_rows(local_store, snapshot.without(digest), model, folder, window="both", positions=True)
    pd.testing.assert_frame_equal(after, before.drop(chosen.index).reset_index(drop=True))
    assert snapshot.without(digest).digest != snapshot.digest


def test_derive_adds_columns_and_never_sees_the_target(rows, folder) -> None:
    (folder / "features.py").write_text(
        "def derive(f):\n    assert 'y' not in f\n    return f.assign(double=f['x'] * 2)\n"
    )
    read = rows(frame_of(DAILY), derive="features:derive", columns=["y", "double", "x"])
    assert list(read.columns) == ["y", "double", "x"]
    assert (read["double"] == read["x"] * 2).all()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return f[f['x'] > 3]", "added, removed or reordered rows"),
        ("return f.sort_values('x')", "added, removed or reordered rows"),
        ("return f.assign(y=1)", "must not change"),
        ("return f.to_dict()", "did not return a frame"),
        ("return f.assign(z=f['x'].mean())", "uses other rows"),
        ("return f.assign(z=f['x'].shift())", "uses other rows"),
        ("return f.assign(z=f['c'].cat.codes)", "uses other rows"),
        ("import pandas as pd; return pd.get_dummies(f, columns=['c'])", "depend on the rows"),
        ("return f if len(f) > 30 else f.assign(z=1)", "depend on the rows"),
    ],
)
def test_derive_may_only_add_columns_row_by_row(rows, folder, body, message) -> None:
    (folder / "features.py").write_text(f"def derive(f):\n    {body}\n")
    with pytest.raises(DataError, match=message):
        rows(frame_of(DAILY), derive="features:derive")


SPANS = st.sampled_from([Duration(text) for text in ("1h", "7h", "1d", "30h", "9d", "1mo")])
MINUTES = st.integers(0, 40 * 24 * 60)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    past=st.lists(MINUTES, max_size=25),
    future=st.lists(MINUTES, min_size=1, max_size=12),
    as_of=st.datetimes(datetime(2024, 2, 20), datetime(2024, 4, 2)),
    delay=st.one_of(st.just(Duration("0s")), SPANS),
    train=SPANS,
    holdout=SPANS,
    partition=st.sampled_from(["hour", "day", "month"]),
    at_bounds=st.lists(st.sampled_from(["train.after", "train.until", "holdout.after", "holdout.until"]), max_size=4),
)
def test_no_row_from_the_future(
    past, future, as_of, delay, train, holdout, partition, at_bounds, model_of, doors, read_at, tmp_path_factory
) -> None:
    """Whatever the timeline: only mature rows are read, and rows after as-of change nothing."""
    from include.data.windows import split_at

    as_of = as_of.replace(tzinfo=UTC)
    if partition == "hour":
        train, holdout, delay = Duration("30h"), Duration("7h"), min(delay, Duration("1d"), key=Duration.about)
    place: Path = tmp_path_factory.mktemp("run")
    windows = {"train": str(train), "holdout": str(holdout)}
    model = model_of(FILE, label_delay=str(delay), windows=windows, partition=partition)
    split = split_at(as_of, model.data.windows, delay)
    edges = [getattr(getattr(split, edge.split(".")[0]), edge.split(".")[1]) for edge in at_bounds]
    # One row in each window that surely counts, then whatever chance gives, also exactly on the bounds.
    times = [split.train.until, split.holdout.until, *edges, *(as_of - timedelta(minutes=m) for m in past)]
    known = frame_of(times)
    later = frame_of([as_of + timedelta(minutes=m, microseconds=1) for m in future])
    later = later.assign(id=later["id"] + 1000, c="from the future", x=1e9)

    def read(name: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, Any]:
        folder = place / name
        folder.mkdir()
        frame.sample(frac=1, random_state=1).to_parquet(folder / "rows.parquet", index=False)
        store = LocalStore(place / f"{name}-store")
        snapshot = ingest(store, model, folder, as_of=as_of, at=read_at, connections=doors())
        train_rows = read_rows(store, snapshot, model, folder, window="train")
        return train_rows, read_rows(store, snapshot, model, folder, window="holdout"), snapshot

    train_rows, holdout_rows, _ = read("without", known)
    assert all(at.to_pydatetime() + delay <= as_of for at in holdout_rows["at"])
    assert all(at.to_pydatetime() + delay <= split.holdout.after for at in train_rows["at"])
    assert not set(train_rows["id"]) & set(holdout_rows["id"])
    inside = known[(known["at"] > split.holdout.after) & (known["at"] <= split.holdout.until)]
    assert set(holdout_rows["id"]) == set(inside["id"])
    with_future = read("with", pd.concat([known, later]))
    for before, after in zip((train_rows, holdout_rows), with_future[:2], strict=True):
        pd.testing.assert_frame_equal(before, after)
        assert rows_digest(before, ["id"]) == rows_digest(after, ["id"])
