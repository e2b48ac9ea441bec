from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from include.config.model import ModelConfig
from include.config.sections.rows.rectify import Rectify
from include.data.columns.rectified_texts import rectifiers, rectify_texts
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.data.ingestion.slot_reading import read_again
from include.data.snapshots import DUPLICATES, Snapshot
from include.errors import ConfigError, SourceError
from include.storage.local import LocalStore

AS_OF = datetime(2026, 4, 1, tzinfo=UTC)
COLUMNS = {
    "id": {"type": "integer"}, "at": {"type": "timestamp"}, "x": {"type": "float"}, "y": {"type": "boolean"}, "town": {"type": "string"},
}  # fmt: skip
TOWNS = {"texts": [{"columns": ["town"], "trim": True, "fold_case": True, "levels": {"New York": ["NY", "N.Y."]}}]}
ALL = {**TOWNS, "drop_duplicates": True}


def lines(*more: str, town: str = "Rome") -> str:
    rows = [
        f"{m * 100 + d},2026-{m:02d}-{d:02d}T10:00:00,{d}.5,{d % 2 == 0},{town}" for m in (1, 2, 3) for d in (3, 9, 20)
    ]
    return "\n".join(["id,at,x,y,town", *rows, *more]) + "\n"


def declared(model: ModelConfig, rectify: dict[str, Any]) -> ModelConfig:
    facts = model.to_json()
    return ModelConfig.model_validate({**facts, "quality": {**facts["quality"], "rectify": rectify}})


@pytest.fixture
def model(model_of, folder) -> ModelConfig:
    (folder / "rows.csv").write_text(lines())
    return model_of({"kind": "files", "path": "rows.csv", "format": "csv", "columns": COLUMNS})


@pytest.fixture
def run(folder, doors, read_at, local_store):
    def run(model: ModelConfig, store: Any = local_store) -> Snapshot:
        return ingest(store, model, folder, as_of=AS_OF, at=read_at, connections=doors())

    return run


def test_texts_are_put_right_before_anything_sees_them_and_each_is_counted(run, model, folder, local_store) -> None:
    (folder / "rows.csv").write_text(
        lines("901,2026-03-21T10:00:00,1.5,true,  n.y.", "902,2026-03-22T10:00:00,1.5,true,ny", town="rome")
    )
    fixed = declared(model, TOWNS)
    snapshot = run(fixed)
    frame = read_rows(local_store, snapshot, fixed, folder, window="both", columns=["town"])
    assert set(frame["town"]) == {"rome", "New York"}
    counts = {one.slot: dict(one.rectified) for one in snapshot.partitions}
    assert counts == {"2026-01": {}, "2026-02": {}, "2026-03": {"town": 2}, "2026-04": {}}
    assert Snapshot.load(local_store, "shop", snapshot.digest) == snapshot


def test_rows_that_are_equal_once_put_right_stand_once_and_others_with_one_id_stop_the_run(
    run, model, folder, local_store
) -> None:
    twice = ["303,2026-03-03T10:00:00,3.5,false,Rome ", "303,2026-03-03T10:00:00,3.5,false,ROME"]
    (folder / "rows.csv").write_text(lines(*twice))
    with pytest.raises(SourceError, match="have the same id"):
        run(model)
    with pytest.raises(SourceError, match="have the same id"):
        run(declared(model, TOWNS))
    snapshot = run(declared(model, ALL))
    march = next(one for one in snapshot.partitions if one.slot == "2026-03")
    assert (march.rows, dict(march.rectified)[DUPLICATES]) == (3, 2)
    (folder / "rows.csv").write_text(lines("303,2026-03-03T10:00:00,4.5,false,Rome"))
    with pytest.raises(SourceError, match="have the same id"):
        run(declared(model, ALL), LocalStore(local_store.root / "other"))


def test_a_value_never_hangs_on_other_rows_or_on_the_order_of_runs(run, model, folder, tmp_path) -> None:
    odd = [
        "901,2026-03-21T10:00:00,1.5,true,ROME",
        "902,2026-03-22T10:00:00,1.5,true, rome",
        "902,2026-03-22T10:00:00,1.5,true,Rome",
    ]
    found = set()
    for number, order in enumerate(itertools.permutations(odd)):
        (folder / "rows.csv").write_text(lines(*order))
        found.add(
            tuple(one.content for one in run(declared(model, ALL), LocalStore(tmp_path / str(number))).partitions)
        )
    assert len(found) == 1
    (folder / "rows.csv").write_text(lines())
    alone = run(declared(model, ALL), LocalStore(tmp_path / "alone")).partitions
    assert alone[0].content in next(iter(found))


def test_what_is_not_declared_is_not_done_and_what_is_makes_partitions_of_its_own(
    run, model, folder, local_store
) -> None:
    (folder / "rows.csv").write_text(lines(town=" Rome"))
    as_read = run(model)
    assert set(read_rows(local_store, as_read, model, folder, window="both")["town"]) == {" Rome"}
    assert "rectified" not in str(as_read.to_json()) and "rectify" not in str(model.to_json())
    fixed = run(declared(model, TOWNS))
    assert fixed.source != as_read.source
    assert run(model).digest == as_read.digest


def test_rows_are_read_again_for_a_reproduction_as_they_were_put_right(
    run, model, folder, doors, read_at, tmp_path
) -> None:
    (folder / "rows.csv").write_text(lines("303,2026-03-03T10:00:00,3.5,false,ROME", town=" Rome"))
    fixed = declared(model, ALL)
    snapshot = run(fixed)
    scratch = LocalStore(tmp_path / "scratch")
    assert (
        read_again(scratch, fixed, folder, snapshot, at=read_at, connections=doors()).partitions == snapshot.partitions
    )


def test_equal_rows_of_a_table_without_ids_stand_once(model_of, folder, doors, read_at, local_store) -> None:
    (folder / "rows.csv").write_text("x,y,town\n" + "1.5,true,Rome\n1.5,true, rome\n2.5,false,Rome\n" * 10)
    source = {"kind": "files", "path": "rows.csv", "format": "csv"}
    facts = model_of(source | {"columns": {k: COLUMNS[k] for k in ("x", "y", "town")}}).to_json()
    facts["data"] = {"source": facts["data"]["source"], "target": "y"}
    facts["training"].pop("cv")
    model = declared(ModelConfig.model_validate(facts), ALL)
    snapshot = ingest(local_store, model, folder, as_of=AS_OF, at=read_at, connections=doors())
    assert sum(one.rows for one in snapshot.partitions) == 2
    assert sum(dict(one.rectified)[DUPLICATES] for one in snapshot.partitions) == 28


def test_what_rows_are_joined_on_is_put_right_on_both_sides(model) -> None:
    source = {"kind": "files", "path": "towns.csv", "format": "csv"}
    join = {"name": "town", "source": source, "on": {"town": "city"}, "valid_from": "since", "columns": ["size"]}
    facts = model.to_json()
    data = {**facts["data"], "joins": [{**join, "within": "365d"}]}
    joined = ModelConfig.model_validate({**facts, "data": data, "quality": {"rectify": ALL}})
    own, other = (joined.rectify_of(data) for data in joined.data.sources)
    assert own == joined.quality.rectify
    assert [one.columns for one in other.texts] == [("city",)] and not other.drop_duplicates
    with pytest.raises(ValidationError, match="which a join adds"):
        texts = {"texts": [{"columns": ["town_size"], "trim": True}]}
        ModelConfig.model_validate({**joined.to_json(), "quality": {"rectify": texts}})


@pytest.mark.parametrize(("column", "message"), [("twon", "did you mean `town`"), ("x", "can't be put right")])
def test_a_column_that_holds_no_texts_is_named(run, model, column, message) -> None:
    with pytest.raises(SourceError, match=message):
        run(declared(model, {"texts": [{"columns": [column], "trim": True}]}))


def test_texts_that_look_alike_are_one_and_putting_right_twice_changes_nothing() -> None:
    spelling = {"columns": ["a"], "look_alikes": True, "fold_case": True, "levels": {"Zürich": ["zurich", "ZRH"]}}
    right = rectifiers(Rectify.model_validate({"texts": [spelling]}))["a"]
    for text in ("Zu\u0308rich ", "Z\u00fcrich\u200b", "ZRH", "zurich"):
        assert right(text) == right(right(text)) == "Zürich"
    assert right("Stra\u00dfe  9") == "strasse 9"


@pytest.mark.parametrize(
    ("rectify", "message"),
    [
        ({"texts": [{"columns": ["town"]}]}, "at least one of"),
        ({"texts": [{"columns": ["town"], "trim": True}, {"columns": ["town"], "fold_case": True}]}, "in two"),
    ],
)
def test_a_declaration_that_says_nothing_or_two_things_is_refused(model, rectify, message) -> None:
    with pytest.raises(ValidationError, match=message):
        declared(model, rectify)


def test_a_spelling_of_two_levels_is_refused() -> None:
    twice = {"columns": ["town"], "fold_case": True, "levels": {"Rome": ["roma"], "Roma, Texas": ["ROMA"]}}
    with pytest.raises(ConfigError, match="two levels"):
        rectifiers(Rectify.model_validate({"texts": [twice]}))


def test_each_level_is_put_right_once_however_many_parts_its_rows_came_in() -> None:
    asked: list[str] = []

    def upper(text: str) -> str:
        asked.append(text)
        return text.upper()

    parts = [pa.array([], pa.string()), *(pa.array(["a", None, f"b{n}"]) for n in range(20))]
    table, changed = rectify_texts(pa.table({"town": pa.chunked_array(parts)}), {"town": upper}, "here")
    assert sorted(asked) == sorted({"a", *(f"b{n}" for n in range(20))})
    assert table["town"].to_pylist() == [one for n in range(20) for one in ("A", None, f"B{n}")]
    assert changed["town"].to_pylist() == [True, False, True] * 20
    none = pa.table({"town": pa.chunked_array([], pa.string())})
    assert rectify_texts(none, {"town": upper}, "here")[0].equals(none)
