"""A deployment that signs: two versions of a small model, of which one is the champion."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from chain_run import NOW, declare, month, run_chain

from include.config.load import load_model
from include.config.model import ModelConfig
from include.registry.ledger import Ledger
from include.reproduction.rebuild import rebuild
from include.signing.keys import new_key
from include.storage.local import LocalStore
from include.training import recipe


class SignedWorld:
    """A folder with a model, its store, a key, trusted keys and an anchor."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder, self.store = root, root / "parcels", LocalStore(root / "store")

    @classmethod
    def make(cls, root: Path, *, older: bool = False) -> SignedWorld:
        """Make it; ``older``: with libraries of which scikit-learn had another version, so that it can be rebuilt."""
        root.mkdir()
        world = cls(root)
        declare(world.folder)
        pem, key = new_key("release", NOW - timedelta(days=1))
        (root / "key.pem").write_bytes(pem)
        (root / "trusted.json").write_text(json.dumps([key.to_json()]))
        with pytest.MonkeyPatch.context() as patch:
            world.settings(patch)
            if older:
                installed = recipe.version
                patch.setattr(recipe, "version", lambda name: "1.0.0" if name == "scikit-learn" else installed(name))
            for number in (4, 7):
                run_chain(world.store, world.model, world.folder, month(number))
        return world

    def rebuild(self) -> str:
        """Rebuild the champion under the libraries that are installed, and return the version that has its place."""
        actor = {"trigger": "manual", "dag": "reproduce_parcels", "run": "upgrade", "task": "reproduce"}
        done = rebuild(self.ledger, self.model, self.folder, self.champion, actor=actor, at=NOW)
        assert done.version is not None
        return done.version

    def copy(self, root: Path) -> SignedWorld:
        shutil.copytree(self.root, root)
        return SignedWorld(root)

    def settings(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("RATCHET_STORE", self.store.url)
        patch.setenv("RATCHET_MODELS", str(self.root))
        patch.setenv("RATCHET_TRUSTED_KEYS", str(self.root / "trusted.json"))
        patch.setenv("RATCHET_SIGNING_KEY", str(self.root / "key.pem"))
        patch.setenv("RATCHET_ANCHORS", (self.root / "anchors").as_uri())

    @property
    def model(self) -> ModelConfig:
        return load_model(self.folder / "model.yaml")

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.store, "parcels")

    @property
    def champion(self) -> str:
        champion = self.ledger.timeline().champion
        assert champion is not None
        return champion

    def path(self, key: str) -> Path:
        """Return the file of an object, for whoever may write to the store."""
        path = self.store.root / key
        path.chmod(0o644)
        return path

    def statements(self, version: str) -> list[Path]:
        return sorted((self.store.root / "parcels" / "statements" / version).iterdir())
