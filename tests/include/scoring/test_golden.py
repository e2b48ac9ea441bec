from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chain_run import declare, month, parcels, run_chain

from include.errors import ObjectCorrupt
from include.scoring.golden import PREDICTED, ROWS, GoldenRowsDiffer, check_golden, golden_of, keep_golden, load_golden
from include.scoring.predictor import open_predictor
from include.serving.live_versions import open_models
from include.storage.content import put_content
from include.storage.local import LocalStore
from tests.counting import CountingStore
from tests.include.scoring.conftest import World


def champion(world: World) -> str:
    version = world.ledger.timeline().champion
    assert version is not None
    return version


def test_registration_keeps_rows_of_the_holdout_with_their_predictions(world: World) -> None:
    (golden,) = load_golden(world.store, "parcels", champion(world))
    assert golden.num_rows == ROWS
    assert "late" not in golden.column_names
    with open_predictor(world.store, world.model, world.folder, champion(world)) as predictor:
        check_golden(predictor, golden)
        assert golden_of(world.store, predictor).equals(golden)


def test_kept_again_the_same_bytes_are_found(world: World) -> None:
    before = list(world.store.list("parcels/golden/"))
    keep_golden(world.store, world.model, world.folder, champion(world))
    assert list(world.store.list("parcels/golden/")) == before


def test_kept_rows_are_found_without_a_look_at_holdout_and_model(world: World) -> None:
    (kept,) = world.store.list(f"parcels/golden/{champion(world)}/")
    folder, _, name = kept.rpartition("/")
    counting = CountingStore(world.store)
    assert keep_golden(counting, world.model, world.folder, champion(world)) == name.removesuffix(".parquet")
    assert counting.calls == [f"list {folder}/", f"get {kept}"]


def test_kept_rows_that_are_damaged_are_made_again_and_not_believed(world: World, tmp_path: Path) -> None:
    (kept,) = world.store.list(f"parcels/golden/{champion(world)}/")
    counting = CountingStore(LocalStore(tmp_path / "copy"))
    for key in world.store.list(""):
        counting.store.put_if_absent(key, world.store.get(key) + (b"?" if key == kept else b""))
    made = keep_golden(counting, world.model, world.folder, champion(world))
    assert kept.endswith(f"/{made}.parquet")
    assert any("/models/" in call for call in counting.calls)
    assert f"put {kept}" in counting.calls


def test_a_version_whose_golden_rows_are_all_erased_is_served_and_checked_on_rows_of_its_holdout(
    world: World, tmp_path: Path
) -> None:
    version = champion(world)
    (kept,) = world.store.list(f"parcels/golden/{version}/")
    store, sink = LocalStore(tmp_path / "copy"), pa.BufferOutputStream()
    for key in world.store.list(""):
        if key != kept:
            store.put_if_absent(key, world.store.get(key))
    (golden,) = load_golden(world.store, "parcels", version)
    pq.write_table(golden.slice(0, 0), sink)
    put_content(store, f"parcels/golden/{version}", ".parquet", sink.getvalue().to_pybytes())
    assert load_golden(store, "parcels", version) == []
    (model,) = open_models(store, world.folder.parent, ["parcels"])
    model.look(0.0)
    assert model.champion is not None and model.champion.version == version


def test_rows_are_kept_as_the_source_gives_them_where_features_replace_a_column(tmp_path: Path) -> None:
    model = declare(tmp_path / "parcels", rows := parcels())
    code = tmp_path / "parcels" / "features.py"
    code.write_text(code.read_text().replace(" >= 18)", ' >= 18, weight=frame["weight"] * 2)'))
    store = LocalStore(tmp_path / "store")
    version = run_chain(store, model, tmp_path / "parcels", month(4))["select"]
    (golden,) = load_golden(store, "parcels", version)
    kept = golden.to_pandas().set_index("parcel")["weight"]
    assert kept.tolist() == rows.set_index("parcel")["weight"].loc[kept.index].tolist()
    with open_predictor(store, model, tmp_path / "parcels", version) as predictor:
        check_golden(predictor, golden)


def test_a_version_that_predicts_otherwise_is_found_out(world: World) -> None:
    (golden,) = load_golden(world.store, "parcels", champion(world))
    other = next(v for _, v in world.ledger.timeline().champions() if v != champion(world))
    with open_predictor(world.store, world.model, world.folder, other) as predictor, pytest.raises(GoldenRowsDiffer):
        check_golden(predictor, golden)
    values = golden[PREDICTED].to_pylist()
    values[3] = [values[3][0] + 2e-6]
    changed = golden.drop_columns([PREDICTED]).append_column(PREDICTED, pa.array(values))
    with open_predictor(world.store, world.model, world.folder, champion(world)) as predictor:
        with pytest.raises(GoldenRowsDiffer):
            check_golden(predictor, changed)
        with pytest.raises(GoldenRowsDiffer):
            check_golden(
                replace(predictor, derive=lambda frame: frame.assign(evening=False, weight=frame["weight"] * 2)), golden
            )


def test_a_changed_file_is_refused_before_it_is_read(world: World) -> None:
    (key,) = world.store.list(f"parcels/golden/{champion(world)}/")
    path = world.store.root / key
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ObjectCorrupt):
        load_golden(world.store, "parcels", champion(world))


@pytest.mark.parametrize("planted", ["no parquet", "no predictions"])
def test_an_object_that_holds_no_golden_rows_does_not_stand_for_them(
    world: World, tmp_path: Path, planted: str
) -> None:
    (kept,) = world.store.list(f"parcels/golden/{champion(world)}/")
    store = LocalStore(tmp_path / "copy")
    for key in world.store.list(""):
        if key != kept:
            store.put_if_absent(key, world.store.get(key))
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"size": [1.0]}), sink)
    body = b"no parquet" if planted == "no parquet" else sink.getvalue().to_pybytes()
    put_content(store, kept.rpartition("/")[0], ".parquet", body)
    assert kept.endswith(f"/{keep_golden(store, world.model, world.folder, champion(world))}.parquet")
