"""A deployment that signs: two versions of a small model, of which one is the champion."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Self

import pytest
from chain_run import NOW, declare, month, run_chain
from place import Place

from include.reproduction.rebuild import rebuild
from include.signing.keys import new_key
from include.training import recipe


class SignedWorld(Place):
    """A folder with a model, its store, a key, trusted keys and an anchor."""

    @classmethod
    def make(cls, root: Path, *, older: bool = False) -> SignedWorld:
        """Make it; ``older``: with libraries of which scikit-learn had another version, so that it can be rebuilt."""
        root.mkdir()
        world = cls(root)
        declare(world.folder)
        world.make_key()
        with pytest.MonkeyPatch.context() as patch:
            world.settings(patch)
            if older:
                installed = recipe.version
                patch.setattr(recipe, "version", lambda name: "1.0.0" if name == "scikit-learn" else installed(name))
            for number in (4, 7):
                run_chain(world.store, world.model, world.folder, month(number))
        return world

    def make_key(self) -> None:
        """Write a key, and the list of those that are trusted."""
        pem, key = new_key("release", NOW - timedelta(days=1))
        (self.root / "key.pem").write_bytes(pem)
        (self.root / "trusted.json").write_text(json.dumps([key.to_json()]))

    def rebuild(self) -> str:
        """Rebuild the champion under the libraries that are installed, and return the version that has its place."""
        actor = {"trigger": "manual", "dag": "reproduce_parcels", "run": "upgrade", "task": "reproduce"}
        done = rebuild(self.ledger, self.model, self.folder, self.champion, actor=actor, at=NOW)
        assert done.version is not None
        return done.version

    def copy(self, root: Path) -> Self:
        shutil.copytree(self.root, root)
        return type(self)(root)

    def settings(self, patch: pytest.MonkeyPatch) -> None:
        patch.setenv("RATCHET_STORE", self.store.url)
        patch.setenv("RATCHET_MODELS", str(self.root))
        patch.setenv("RATCHET_TRUSTED_KEYS", str(self.root / "trusted.json"))
        patch.setenv("RATCHET_SIGNING_KEY", str(self.root / "key.pem"))
        patch.setenv("RATCHET_ANCHORS", (self.root / "anchors").as_uri())

    @property
    def champion(self) -> str:
        champion = super().champion
        assert champion is not None
        return champion

    def path(self, key: str) -> Path:
        """Return the file of an object, for whoever may write to the store."""
        path = self.store.root / key
        path.chmod(0o644)
        return path

    def statements(self, version: str) -> list[Path]:
        return sorted((self.store.root / "parcels" / "statements" / version).iterdir())
