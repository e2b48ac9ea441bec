"""Find the versions that were trained or evaluated on given partitions, and whether those were retracted since."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from include.data.ingestion.readings import Retraction
from include.data.snapshots import Snapshot
from include.registry.ledger import Ledger
from include.storage.concurrency import at_once
from include.storage.content import from_iso


def trained_on(ledger: Ledger, partitions: Iterable[str]) -> list[str]:
    """Return the versions whose snapshots pin one of some partitions, by as-of.

    Parameters
    ----------
    ledger : Ledger
    partitions : iterable of str
        Keys of the store.
    """
    wanted = set(partitions)
    versions = [standing.version for standing in ledger.timeline().standings] if wanted else []
    snapshots = at_once(ledger.store, [partial(snapshot_of, ledger, version) for version in versions])
    return [
        version
        for version, snapshot in zip(versions, snapshots, strict=True)
        if any(source.partition_key(one) in wanted for source in snapshot.sources for one in source.partitions)
    ]


def snapshot_of(ledger: Ledger, version: str) -> Snapshot:
    """Return the snapshot that a version was trained on."""
    return Snapshot.load(ledger.store, ledger.model, ledger.version(version).snapshot)


def describe_retractions(found: Iterable[Retraction]) -> str:
    """Return what was taken back, by whom and why, for a person; empty of none."""
    return "; ".join(
        f"partition {one.slot}, taken back on {from_iso(one.at):%-d %B %Y}{f' by {who}' if (who := one.actor.get('user')) else ''}: {one.reason}"
        for one in found
    )
