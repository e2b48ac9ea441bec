"""Tables without event time: who is in the holdout, and when a table is news."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.model import ModelConfig
from include.config.sections.data import LOT, ROW, Data
from include.data import random_split
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.data.random_split import RandomPlaces, Repeats
from include.data.snapshots import Snapshot
from include.data.table_versions import table_looks
from include.errors import SourceError
from include.storage.local import LocalStore
from tests.opcodes import opcodes_in

NOW = datetime(2030, 1, 1, tzinfo=UTC)
READER = """
from pathlib import Path
import pandas as pd

def read():
    yield pd.read_csv(Path(__file__).with_name("table.csv"))
"""
PYTHON = {"kind": "python", "reader": "source:read"}
CSV = {
    "kind": "files",
    "path": "table.csv",
    "format": "csv",
    "columns": {
        "id": {"type": "integer"},
        "who": {"type": "integer"},
        "x": {"type": "float"},
        "y": {"type": "boolean"},
    },
}
SQL = {"kind": "sql", "connection": "db", "query": "SELECT id, who, x, y FROM rows", "types": {"y": "boolean"}}


def table(rows: int = 400, first: int = 0) -> pd.DataFrame:
    ids = np.arange(first, first + rows)
    return pd.DataFrame({"id": ids, "who": ids // 5, "x": ids * 0.5 % 7, "y": ids % 3 == 0})


class Place:
    def __init__(self, folder: Path, **data: Any) -> None:
        self.folder, self.store = folder, LocalStore(folder / "store")
        (folder / "source.py").write_text(READER)
        self.model = declare(data)

    def look(
        self, rows: pd.DataFrame, as_of: datetime = datetime(2026, 1, 1, tzinfo=UTC), doors: Any = None
    ) -> Snapshot:
        rows.to_csv(self.folder / "table.csv", index=False)
        return ingest(self.store, self.model, self.folder, as_of=as_of, at=NOW, connections=doors)

    def side(self, snapshot: Snapshot, window: str, column: str = "id") -> list[Any]:
        frame = read_rows(self.store, snapshot, self.model, self.folder, window=window)  # type: ignore[arg-type]
        return sorted(frame[column].tolist())


def declare(data: dict[str, Any], **parts: Any) -> ModelConfig:
    return ModelConfig.model_validate(
        {
            "name": "shop",
            "description": "?",
            "owner": "us",
            "task": "classification",
            "schedule": {"start": "2020-01-01"},
            "data": {"source": PYTHON, "target": "y", **data},
            "features": {"numeric": {"columns": ["x"]}},
            "training": {"candidates": [{"estimator": "logistic_regression"}]},
            "gate": {"primary": {"metric": "roc_auc"}},
            **parts,
        }
    )


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def test_each_row_is_on_one_side_and_the_holdout_has_its_share(tmp_path: Path) -> None:
    place = Place(tmp_path, row_id="id", holdout=0.3)
    snapshot = place.look(table(2000))
    train, holdout = place.side(snapshot, "train"), place.side(snapshot, "holdout")
    assert sorted(train + holdout) == list(range(2000))
    assert len(holdout) == pytest.approx(600, abs=3 * np.sqrt(2000 * 0.3 * 0.7))


def test_a_row_stays_on_its_side_whatever_other_rows_come_or_go_or_how_they_are_ordered(tmp_path: Path) -> None:
    place = Place(tmp_path, row_id="id")
    before = set(place.side(place.look(table(300)), "holdout"))
    grown = pd.concat([table(200, first=1000), table(300).iloc[100:]]).sample(frac=1, random_state=1)
    after = set(place.side(place.look(grown, day(2)), "holdout"))
    assert {row for row in after if row < 300} == {row for row in before if row >= 100}
    assert any(row >= 1000 for row in after)


def test_a_larger_holdout_keeps_those_that_were_in_the_smaller_one(tmp_path: Path) -> None:
    small, large = (
        Place(tmp_path / str(share), row_id="id", holdout=share)
        for share in (0.2, 0.4)
        if not (tmp_path / str(share)).mkdir()
    )
    assert set(small.side(small.look(table()), "holdout")) < set(large.side(large.look(table()), "holdout"))


def test_all_rows_about_one_entity_are_on_one_side(tmp_path: Path) -> None:
    place = Place(tmp_path, row_id="id", entity="who")
    snapshot = place.look(table())
    train, holdout = (set(place.side(snapshot, window, "who")) for window in ("train", "holdout"))
    assert train and holdout and not train & holdout


def test_rows_without_an_id_are_named_by_their_values_and_equal_ones_stay_together(tmp_path: Path) -> None:
    place = Place(tmp_path)
    rows = pd.concat([table(100), table(100), table(50)])
    snapshot = place.look(rows)
    assert place.model.data.row_id == (ROW,)
    sides = [place.side(snapshot, window) for window in ("train", "holdout")]
    assert sorted(sides[0] + sides[1]) == sorted(rows["id"]) and not set(sides[0]) & set(sides[1])
    names = place.side(snapshot, "train", ROW) + place.side(snapshot, "holdout", ROW)
    assert len(set(names)) == 250 and sum(name.endswith("-2") for name in names) == 100
    shuffled = place.look(rows.sample(frac=1, random_state=3), day(2))
    assert shuffled.partitions == snapshot.partitions


def test_an_unchanged_table_is_no_news_and_a_changed_one_is(tmp_path: Path) -> None:
    place = Place(tmp_path, row_id="id")
    first = place.look(table(), day(1))
    assert place.look(table(), day(2)) == first and first.as_of == day(1)
    changed = table()
    changed.loc[7, "x"] = 99.0
    third = place.look(changed, day(3))
    assert third.as_of == day(3) and third.digest != first.digest
    assert [look.as_of for look in table_looks(place.store, "shop")] == [day(1), day(2), day(3)]


def test_which_run_looked_first_makes_no_difference_to_the_name(tmp_path: Path) -> None:
    place = Place(tmp_path, row_id="id")
    assert place.look(table(), day(5)).as_of == day(5)
    assert place.look(table(), day(2)).as_of == day(2)
    assert place.look(table(), day(5)).as_of == day(2)


@pytest.mark.parametrize("kind", ["csv", "sql"])
def test_files_and_queries_give_the_same_table_as_a_reader(tmp_path: Path, doors: Any, kind: str) -> None:
    (tmp_path / "reader").mkdir()
    (tmp_path / kind).mkdir()
    reader = Place(tmp_path / "reader", row_id="id")
    other = Place(tmp_path / kind, row_id="id", source=CSV if kind == "csv" else SQL)
    engine = sa.create_engine(f"sqlite:///{tmp_path}/db.sqlite")
    table().to_sql("rows", engine, index=False)
    snapshot = other.look(table(), doors=doors(sql=engine))
    assert other.side(snapshot, "holdout") == reader.side(reader.look(table()), "holdout")


def test_derive_does_not_see_the_lot(tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text(
        "def derive(frame):\n    return frame.assign(seen=len([c for c in frame if c[0] == '(']))\n"
    )
    place = Place(tmp_path)
    place.model = declare({}, features={"derive": "features:derive", "numeric": {"columns": ["x", "seen"]}})
    assert set(place.side(place.look(table()), "train", "seen")) == {0}


def test_an_entity_that_the_source_does_not_give_is_answered_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no column `patient`"):
        Place(tmp_path, row_id="id", entity="patient").look(table())


@pytest.mark.parametrize(
    ("data", "parts", "said"),
    [
        ({"windows": {"train": "1mo", "holdout": "1mo"}}, {}, "expected `event_time` with `windows`"),
        ({"label_delay": "1d"}, {}, "no `label_delay` without `event_time`"),
        ({"source": {**CSV, "path": "%Y.csv"}}, {}, "without date parts"),
        ({"source": {**SQL, "query": "SELECT 1 WHERE t >= :start AND t < :end"}}, {}, "without `:start` and `:end`"),
        ({"event_time": "at", "row_id": "id"}, {}, "expected `windows` with `event_time`"),
        ({"event_time": "at", "windows": {"train": "1mo", "holdout": "1mo"}}, {}, "expected `row_id` with"),
        ({}, {"evaluation": {"block": "1d"}}, "`evaluation.block` needs `data.event_time`"),
        (
            {},
            {"training": {"candidates": [{"estimator": "svm"}], "cv": {"kind": "time_series"}}},
            "time_series}` needs `data.event_time`",
        ),
    ],
)
def test_what_needs_time_is_refused_by_name(data: dict[str, Any], parts: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + said.replace("(", r"\(").replace("{", r"\{").replace("}", r"\}")):
        declare(data, **parts)


def test_candidates_are_compared_on_random_folds_unless_said_otherwise() -> None:
    assert declare({}).training.cv.kind == "stratified"
    ridge = {"candidates": [{"estimator": "ridge"}]}
    regression = declare({}, task="regression", training=ridge, gate={"primary": {"metric": "rmse"}})
    assert regression.training.cv.kind == "k_fold" and regression.data.event_time == LOT
    own = {"candidates": [{"estimator": "svm"}], "cv": {"kind": "k_fold", "folds": 3}}
    assert declare({}, training=own).training.cv.folds == 3
    assert ModelConfig.model_validate(regression.to_json()) == regression


def test_a_look_is_named_to_the_microsecond(tmp_path: Path) -> None:
    place = Place(tmp_path)
    instant = day(1) + timedelta(microseconds=7)
    place.look(table(), instant)
    assert table_looks(place.store, "shop")[0].as_of == instant


PEOPLE = CSV | {
    "columns": {name: {"type": "string"} for name in ("sex", "married", "degree")} | {"y": {"type": "boolean"}}
}


def people(rows: int = 1100) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({name: rng.choice(["no", "yes"], rows) for name in ("sex", "married", "degree")})
    return frame.assign(y=(frame == "yes").sum(axis=1) + rng.normal(size=rows) > 2)


def test_equal_rows_without_an_id_are_on_one_side_unless_they_are_declared_separate(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    together = Place(tmp_path / "a", source=PEOPLE)
    separate = Place(tmp_path / "b", source=PEOPLE, equal_rows="separate")
    names = {}
    for place in (together, separate):
        snapshot = place.look(people())
        sides = [read_rows(place.store, snapshot, place.model, place.folder, window=w) for w in ("train", "holdout")]
        names[place] = [set(side[ROW].astype(str)) for side in sides]
        assert len(names[place][0] | names[place][1]) == 1100 and not names[place][0] & names[place][1]
    one_side = [{name[:32] for name in side} for side in names[together]]
    assert not one_side[0] & one_side[1]
    different = len(people().drop_duplicates())
    assert len({name[:32] for name in names[separate][1]}) == different
    assert abs(len(names[separate][1]) / 1100 - 0.25) < 0.05
    # More people of the same kinds change nobody's side.
    more = separate.look(pd.concat([people().head(100), people()]), datetime(2027, 1, 1, tzinfo=UTC))
    held = read_rows(separate.store, more, separate.model, separate.folder, window="holdout")
    assert names[separate][1] <= set(held[ROW].astype(str))


@pytest.mark.parametrize("other", [{"row_id": "id"}, {"entity": "who"}])
def test_equal_rows_are_declared_only_where_nothing_else_says_what_a_row_is(other: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="expected `equal_rows` only of a table without"):
        declare({"equal_rows": "separate", **other})


def lot_by_hand(values: list[str | None]) -> str:
    """Return the digest that a row's values have, as it was defined with the first stored table."""
    texts = ["\0" if value is None else value for value in values]
    return hashlib.sha256("".join(f"{len(text)}:{text}" for text in texts).encode()).hexdigest()[:32]


VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(codec="utf-8"), max_size=9),
    pa.date32(): st.dates(),
    pa.timestamp("us", "UTC"): st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
}
ROWS = st.lists(st.tuples(*(st.none() | values for values in VALUES.values())), max_size=9)


@pytest.mark.parametrize("equal_rows", ["together", "separate"])
@settings(max_examples=40, deadline=None)
@given(batches=st.lists(ROWS, max_size=3), entity=st.none() | st.sampled_from(range(len(VALUES))))
def test_lots_and_names_are_what_they_were_for_ids_of_every_type(
    equal_rows: str, batches: list[list[Any]], entity: int | None
):
    names = [str(kind) for kind in VALUES]
    who = None if entity is None else names[entity]
    named = RandomPlaces(Data.model_construct(row_id=(ROW,), entity=who, equal_rows=equal_rows))
    known = RandomPlaces(Data.model_construct(row_id=tuple(names), entity=who, equal_rows="together"))
    seen: Counter[str] = Counter()
    for rows in [*batches, [row for batch in batches for row in batch]]:
        columns = [pa.array([row[at] for row in rows], kind) for at, kind in enumerate(VALUES)]
        table = pa.table(columns, names=names)
        texts = dict(zip(names, (column.cast(pa.string()).to_pylist() for column in columns), strict=True))
        by_id = [lot_by_hand([texts[name][at] for name in names]) for at in range(len(rows))]
        by_row = [lot_by_hand([texts[name][at] for name in sorted(names)]) for at in range(len(rows))]
        called = []
        for digest in by_row:
            seen[digest] += 1
            called.append(digest if seen[digest] == 1 else f"{digest}-{seen[digest]}")
        if equal_rows == "separate":
            by_row = [one if len(one) == 32 else hashlib.sha256(one.encode()).hexdigest()[:32] for one in called]
        if who is not None:
            by_id = by_row = [lot_by_hand([texts[who][at]]) for at in range(len(rows))]
        halves = pa.concat_tables([table.slice(0, len(rows) // 2), table.slice(len(rows) // 2)])
        for given_rows in (table, halves):
            assert places(known(given_rows)) == [1 + int(digest[:16], 16) % 3_600_000_000 for digest in by_id]
        drawn = named(halves)
        assert places(drawn) == [1 + int(digest[:16], 16) % 3_600_000_000 for digest in by_row]
        assert drawn[ROW].to_pylist() == called


def places(table: pa.Table) -> list[int]:
    return table[LOT].cast(pa.int64()).to_pylist()


FEW = st.integers(0, 2) | st.integers(2**64 - 2, 2**64 - 1)


@settings(max_examples=200, deadline=None)
@given(batches=st.lists(st.lists(st.tuples(FEW, FEW), max_size=6), max_size=9))
def test_equal_digests_are_numbered_over_all_parts_also_where_half_of_them_is_equal(
    batches: list[list[tuple[int, int]]],
):
    repeats, seen = Repeats(), Counter[tuple[int, int]]()
    for batch in batches:
        numbers = repeats(np.array(batch, np.uint64).reshape(-1, 2).view(np.uint8))
        wanted = []
        for digest in batch:
            seen[digest] += 1
            wanted.append(seen[digest])
        assert numbers.tolist() == wanted


def test_what_is_kept_of_digests_is_a_few_runs():
    repeats, parts = Repeats(), 64
    for part in range(parts):
        repeats(np.arange(part * 20, part * 20 + 20, dtype=np.uint64).view(np.uint8).reshape(-1, 16))
    assert [len(run.counts) for run in repeats._runs] == [10 * parts]
    assert sum(array.nbytes for run in repeats._runs for array in run) == 24 * 10 * parts


def test_naming_rows_runs_no_python_for_each():
    def work(rows: int) -> int:
        table = pa.table({"a": np.arange(rows) // 2, "b": [1.5] * rows})
        named = RandomPlaces(Data.model_construct(row_id=(ROW,), entity=None, equal_rows="together"))
        # Only the digests themselves are made one by one: nothing makes SHA-256 of many texts at once.
        alone = ("_digests", "_digests.<locals>.<listcomp>")
        return opcodes_in(random_split.__file__, lambda: named(table), but=alone)

    assert work(2_000) == work(200)
