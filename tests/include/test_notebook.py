"""A notebook: a process whose folder is elsewhere, which has include/ installed and knows a store and nothing more."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, declare, month, parcels, run_chain

from include.config.model import ModelConfig
from include.config.settings import ROOT
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import DataError, RegistryError
from include.notebook import load_champion, load_model
from include.registry.ledger import Ledger
from include.scoring.publication import Publication
from include.scoring.score import score
from include.storage.local import LocalStore

CELL = """
import json, sys
import pandas as pd
from include.notebook import load_champion

model = load_champion("parcels")
found = model.predict(pd.read_parquet(sys.argv[1]))
found.to_parquet(sys.argv[2])
print(json.dumps([model.id, model.card._repr_html_()[:20], "airflow" in sys.modules, sys.modules["include.notebook"].__file__]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with two champions of a model with a derived column, and the rows of a month as its source delivers them."""
    root = tmp_path_factory.mktemp("notebook")
    model = declare(root / "parcels", parcels())
    store = LocalStore(root / "store")
    for number in (4, 7):
        run_chain(store, model, root / "parcels", month(number))
    rows = parcels()
    inside = rows[(rows["sent_at"] > month(9)) & (rows["sent_at"] <= month(10))]
    inside.sample(frac=1, random_state=1).to_parquet(root / "september.parquet")
    return root


@pytest.fixture
def rows(place: Path) -> pd.DataFrame:
    return pd.read_parquet(place / "september.parquet").set_index("parcel", drop=False).rename_axis("any")


@pytest.fixture
def load(place: Path) -> Callable[..., Any]:
    return lambda **options: load_champion("parcels", store=(place / "store").as_uri(), **options)


def scored(place: Path) -> pd.DataFrame:
    """What ``score_parcels`` publishes for September."""
    store, model = LocalStore(place / "store"), _declared(place)
    window = Window(month(9), month(10))
    snapshot = ingest_window(store, model, place / "parcels", window, at=NOW, connections=None)  # type: ignore[arg-type] # a Python source needs none
    manifest = score(store, model, place / "parcels", snapshot, at=NOW)
    assert manifest is not None
    return Publication(store, "parcels", window).read(manifest).to_pandas().set_index("parcel")


def _declared(place: Path) -> ModelConfig:
    from include.config.load import load_model as declaration

    return declaration(place / "parcels" / "model.yaml")


def test_installed_elsewhere_it_predicts_what_the_dag_publishes(place: Path, tmp_path: Path) -> None:
    source, site, elsewhere = tmp_path / "source", tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(ROOT / "include", source / "include", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", source)
    build = "from setuptools.build_meta import build_wheel; print(build_wheel('wheels'))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "wheels").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(site)
    shutil.rmtree(source)
    environment = {"PYTHONPATH": str(site), "RATCHET_STORE": (place / "store").as_uri(), "PATH": "/usr/bin:/bin"}
    # Were the model's own code there, it would be used: the store's is.
    cell = [sys.executable, "-c", CELL, place / "september.parquet", tmp_path / "found.parquet"]
    done = subprocess.run(cell, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, shown, airflow, file = json.loads(done.stdout.splitlines()[-1])
    assert (shown, airflow) == ('<iframe srcdoc="<!DO', False)
    assert Path(file).is_relative_to(site)
    expected = scored(place)
    found = pd.read_parquet(tmp_path / "found.parquet")
    found.index = pd.Index(pd.read_parquet(place / "september.parquet")["parcel"])
    assert set(expected["version"]) == {version}
    for column in ("prediction", "label", "out_of_domain"):
        pd.testing.assert_series_equal(found[column].sort_index(), expected[column].sort_index(), check_exact=True)


def test_the_index_is_kept_and_labels_and_probabilities_agree(load: Any, rows: pd.DataFrame) -> None:
    model = load()
    found, both = model.predict(rows), model.predict_proba(rows)
    assert found.index.equals(rows.index) and both.index.equals(rows.index)
    assert both.columns.tolist() == [False, True]
    assert (both[True] == found["prediction"]).all()
    assert (found["label"] == (both[True] >= model.threshold)).all()
    assert set(model.metrics) >= {"roc_auc", "brier"}
    assert (model.pipeline.predict_proba(model.prepare(rows))[:, 1] == both[True]).all()


def test_the_champion_of_an_instant_or_any_version_by_the_beginning_of_its_id(place: Path, load: Any) -> None:
    first, second = (version for _, version in Ledger(LocalStore(place / "store"), "parcels").timeline().champions())
    assert [load(at="2024-05-17").id, load().id] == [first, second]
    store = (place / "store").as_uri()
    assert load_model("parcels", first.partition("-")[2][:6], store=store).id == first
    with pytest.raises(RegistryError, match="2 versions begin with 2024"):
        load_model("parcels", "2024", store=store)
    with pytest.raises(RegistryError, match="parcels has no champion as of 2024-01-01"):
        load(at="2024-01-01")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frame: frame.drop(columns="sent_at"), "needs the column 'sent_at'"),
        (lambda frame: frame.drop(columns="weight"), "There is no column `weight`"),
        (lambda frame: frame.assign(distance="far"), "Column `distance` is not of the type on record"),
        (
            lambda frame: frame.assign(parcel=[2**70] * len(frame)).astype({"parcel": object}),
            "Column `parcel` is not of the type on record",
        ),
    ],
)
def test_a_frame_that_it_cannot_read_is_answered_with_the_column(
    load: Any, rows: pd.DataFrame, change: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load().predict(change(rows))


def test_texts_of_times_and_numbers_of_another_width_are_read_as_on_record(load: Any, rows: pd.DataFrame) -> None:
    other = rows.assign(sent_at=rows["sent_at"].astype(str), parcel=rows["parcel"].astype("int32"))
    pd.testing.assert_frame_equal(load().predict(other), load().predict(rows))
