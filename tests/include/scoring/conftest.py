"""A small model with champions of two months."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chain_run import NOW, declare, month, parcels, run_chain
from once import Once

from include.config.load import load_model
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.registry.ledger import Ledger
from include.scoring.publication import Manifest, Publication
from include.scoring.score import score
from include.storage.local import LocalStore


@dataclass(frozen=True)
class World:
    """A model's folder and a store; rows from August on have no label yet."""

    folder: Path
    store: LocalStore
    model: ModelConfig

    def score(self, number: int, store: Any = None) -> Manifest | None:
        """Score a month of 2024, as the DAG's tasks do."""
        used = store or self.store
        window = Window(month(number), month(number + 1))
        snapshot = ingest_window(used, self.model, self.folder, window, at=NOW, connections=None)  # type: ignore[arg-type] # a Python source needs none
        return score(used, self.model, self.folder, snapshot, at=NOW)

    def publication(self, number: int) -> Publication:
        return Publication(self.store, self.model.name, Window(month(number), month(number + 1)))

    def read(self, number: int) -> pd.DataFrame:
        """Return the scores in force for a month."""
        publication = self.publication(number)
        newest = publication.newest()
        assert newest is not None
        return publication.read(newest).to_pandas()

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, self.model.name)


@pytest.fixture(scope="session")
def trained(once: Once) -> Path:
    """A folder with a model and a store in which two months were retrained."""

    def fill(root: Path) -> None:
        rows = parcels()
        rows["late"] = rows["late"].astype("boolean").mask(rows["sent_at"] >= month(8))
        model = declare(root / "parcels", rows)
        for number in (4, 7):
            run_chain(LocalStore(root / "store"), model, root / "parcels", month(number))

    return once("scoring", fill)


@pytest.fixture
def world(trained: Path, tmp_path: Path) -> World:
    """A copy of that store and folder for one test."""
    shutil.copytree(trained, tmp_path / "w")
    folder = tmp_path / "w" / "parcels"
    return World(folder, LocalStore(tmp_path / "w" / "store"), load_model(folder / "model.yaml"))
