"""What a run of a small model leaves under a real scheduler, held against that of a run that nothing disturbed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chain_run import declare, month, parcels, run_chain

from include.registry.ledger import Ledger
from include.storage.content import digest
from include.storage.local import LocalStore
from include.storage.store import ObjectStore


def is_as_undisturbed(store: ObjectStore, folder: Path, name: str) -> None:
    """Assert that a store holds of a model what it would hold if nothing had happened to the run of July.

    Parameters
    ----------
    store : ObjectStore
    folder : Path
        The models are in ``models`` of it; the undisturbed run is done in it, too.
    name : str
        The model.
    """
    alone = folder / "alone" / name
    model = declare(alone, parcels(), name=name)
    (alone / "features.py").write_bytes((folder / "models" / name / "features.py").read_bytes())
    quiet = LocalStore(folder / f"quiet-{name}")
    run_chain(quiet, model, alone, month(7))
    decided, objects = _left(store, name)
    assert decided and objects
    assert (decided, objects) == _left(quiet, name)


def _left(store: ObjectStore, name: str) -> tuple[Any, dict[str, str]]:
    ledger = Ledger(store, name)
    assert ledger.verify() == len(ledger.entries())
    decided = [
        (one.version, one.decision.outcome, one.decision.reason, one.decision.primary)
        for one in ledger.timeline().standings
        if one.decision
    ]
    kinds = ("models", "versions", "fits", "snapshots")  # evidence also says how long predicting took
    return decided, {key: digest(store.get(key)) for kind in kinds for key in store.list(f"{name}/{kind}/")}
