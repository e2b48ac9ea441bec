"""Expectations are drafted from rows: they hold of rows alike, fail of others, and name no row and no rare level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from chain_run import declare, month, parcels, run_chain
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.load import load_model
from include.data.ingestion.ingest import ingest
from include.data.quality.check import check
from include.data.quality.check_report import load_report
from include.drafting.expectations import draft_expectations
from include.registry.history.trained_on import snapshot_of
from include.registry.ledger import Ledger
from include.storage.local import LocalStore


class World:
    """A model with rows of its own, retrained once."""

    def __init__(self, root: Path, rows: pd.DataFrame) -> None:
        self.folder, self.store = root / "models" / "parcels", LocalStore(root / "store")
        declare(self.folder, rows)
        text = (self.folder / "model.yaml").read_text().replace("train: 2mo", "train: 5mo")
        begin, end = text.index("quality:"), text.index("features:")
        (self.folder / "model.yaml").write_text(text[:begin] + text[end:])
        self.model = load_model(self.folder / "model.yaml")
        run_chain(self.store, self.model, self.folder, month(8))

    def drafted(self, min_rows: int = 50) -> str:
        ledger = Ledger(self.store, "parcels")
        version = ledger.timeline().standings[-1].version
        return draft_expectations(self.store, self.model, self.folder, snapshot_of(ledger, version), min_rows=min_rows)

    def checked(self, text: str, number: int, rows: pd.DataFrame | None = None) -> dict[str, Any]:
        """Paste the entries into the declaration, and check the rows of a later as-of, or others."""
        path = self.folder / "model.yaml"
        bare = path.read_text()
        path.write_text(f"{bare}\n{text}\n")
        pasted = load_model(path)
        path.write_text(bare)
        if rows is not None:
            rows.to_parquet(self.folder / "rows.parquet", index=False)
        store = self.store if rows is None else LocalStore(self.folder.parent.parent / "other")
        snapshot = ingest(store, pasted, self.folder, as_of=month(number), at=month(14), connections=None)  # type: ignore[arg-type]
        return load_report(store, "parcels", check(store, pasted, self.folder, snapshot).report)


def entries(text: str) -> dict[tuple[str, str], dict[str, Any]]:
    found = yaml.safe_load(text)["quality"]["expectations"]
    return {(name, one["column"]): one for entry in found for name, one in entry.items()}


def spread(**changes: Any) -> pd.DataFrame:
    frame = parcels(rows=6000)
    return frame.assign(**{name: change(frame) for name, change in changes.items()})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    def carrier(frame: pd.DataFrame) -> pd.Series:
        return frame["carrier"].mask(np.arange(len(frame)) % 1000 == 7, "Ada Lovelace, 12 Short Street")

    return World(tmp_path_factory.mktemp("world"), spread(carrier=carrier))


def test_what_is_drafted_holds_of_later_rows_alike_and_not_of_others(world: World) -> None:
    text = world.drafted()
    later = world.checked(text, 10)
    assert len(later["checks"]) >= 7
    assert [one["expectation"] for one in later["checks"] if one["status"] != "passed"] == []
    grams = spread(weight=lambda frame: frame["weight"] * 1000, carrier=lambda frame: frame["carrier"].str.upper())
    failed = {
        (one["expectation"], one["arguments"]["column"])
        for one in world.checked(text, 10, grams)["checks"]
        if one["status"] == "failed"
    }
    assert failed >= {
        ("expect_column_values_to_be_between", "weight"),
        ("expect_column_mean_to_be_between", "weight"),
        ("expect_column_values_to_be_in_set", "carrier"),
    }


def test_a_rare_level_is_neither_named_nor_an_alarm(world: World) -> None:
    text = world.drafted()
    assert "Ada" not in text and "Street" not in text
    carrier = entries(text)["expect_column_values_to_be_in_set", "carrier"]
    assert carrier["value_set"] == ["ant", "bee", "cat"] and 0.98 < carrier["mostly"] < 1
    assert "Ada" in world.drafted(min_rows=1)


def test_bounds_are_no_value_of_a_row(world: World) -> None:
    bounds = entries(world.drafted())["expect_column_values_to_be_between", "weight"]
    weights = set(parcels(rows=6000)["weight"])
    assert bounds["max_value"] not in weights and bounds["max_value"] > max(weights) - 20


def test_tolerances_are_as_wide_as_periods_differ(tmp_path: Path) -> None:
    def seasons(frame: pd.DataFrame) -> pd.Series:
        return frame["distance"] + 200 * (frame["sent_at"].dt.month % 2)

    def width(world: World) -> float:
        mean = entries(world.drafted())["expect_column_mean_to_be_between", "distance"]
        return float(mean["max_value"] - mean["min_value"])

    steady, seasonal = World(tmp_path / "steady", spread()), World(tmp_path / "seasonal", spread(distance=seasons))
    assert width(seasonal) > 400 and width(seasonal) > 2 * width(steady)
    missing = entries(steady.drafted())["expect_column_values_to_not_be_null", "distance"]
    assert 0.85 < missing["mostly"] < 0.95


def test_the_command_prints_what_lint_accepts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RATCHET_STORE", world.store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(world.folder.parent))
    done = CliRunner().invoke(app, ["expect", "parcels"], catch_exceptions=False)
    assert done.exit_code == 0 and done.output.strip() == world.drafted()
    path = world.folder / "model.yaml"
    bare = path.read_text()
    path.write_text(f"{bare}\n{done.output}")
    linted = CliRunner().invoke(app, ["lint", str(path), "--as-of", "2024-09-01"], catch_exceptions=False)
    path.write_text(bare)
    assert linted.exit_code == 0, linted.output
