"""A folder with a small model and its store, as most tests of whole runs have one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from include.config.load import load_model
from include.config.model import ModelConfig
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.storage.local import LocalStore


@dataclass(frozen=True)
class Place:
    """The folder of ``parcels`` and its store, as they are now."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / "parcels"

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.root / "store")

    @property
    def model(self) -> ModelConfig:
        return load_model(self.folder / "model.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    @property
    def champion(self) -> str | None:
        return self.ledger.timeline().champion

    @property
    def champions(self) -> list[str]:
        return [version for _, version in self.ledger.timeline().champions()]

    def wrong(self) -> list[str]:
        """Return what the verification of the ledger finds wrong."""
        return [f"{one.what}: {one.found}" for one in verify(self.ledger, self.folder) if one.state == "wrong"]
