"""Stages: copy a champion to the store of another stage, whose gate decides on it with its own rows.

Nothing is trained again: the objects of the version are copied unchanged and verified against their digests before the other ledger
registers it with its origin. The decision of one stage does not count in another: the version is not in force there until that
stage's gate has decided on it (`Ledger.reconsider`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from include.config.model import ModelConfig
from include.data.snapshots import Snapshot
from include.errors import ObjectCorrupt, RegistryError
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_version
from include.registry.statements import golden_folder
from include.registry.verification import verify_version
from include.registry.version_states import Origin
from include.registry.versions import Version, fit_of
from include.storage.concurrency import at_once
from include.storage.entries import seal_entry
from include.storage.store import ObjectStore
from include.training.provenance import listed_code


@dataclass(frozen=True)
class Sent:
    """What `send` has done.

    Attributes
    ----------
    version : str
        The version's id, the same in both stores.
    objects, present : int
        Objects that were copied, and those that the other store had already.
    registered : bool
        Whether this call registered it; otherwise the other ledger knew it already.
    """

    version: str
    objects: int
    present: int
    registered: bool


def send(
    source: Ledger,
    target: Ledger,
    model: ModelConfig,
    folder: Path,
    wanted: str | None,
    *,
    actor: dict[str, Any],
    at: datetime,
) -> Sent:
    """Copy a promoted version to the store of another stage, and register it there. Repeated or killed, it goes on where it was.

    Parameters
    ----------
    source, target : Ledger
        Of the same model, in different stores.
    model : ModelConfig
    folder : Path
        The model's folder.
    wanted : str or None
        The version's id, the beginning of it or an alias; None for the champion.
    actor : dict
        Who sends it; it is recorded in the event of the other ledger.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    RegistryError
        When the version is not promoted and in line here, both ledgers are in one store, or the table has no event time: another stage has
        no rows of its own to decide by.
    ObjectMissing, ObjectCorrupt, SignatureRefused
        When something that the version is made of is not what it was; nothing is registered then.
    """
    timeline = source.timeline()
    version = find_version(timeline, wanted)
    standing = timeline[version]
    if source.store.url == target.store.url:
        raise RegistryError("A stage does not send to itself.", expected="another store", found=target.store.url)
    if model.data.timeless:
        raise RegistryError(
            f"{source.model} can't be sent to another stage.",
            expected="a table with event time, of which the other stage has rows of its own",
            found="no `data.event_time`",
            remedy="train it there: the same table, code and libraries give the same version",
        )
    if not standing.in_line or standing.decision is None or standing.decision.evidence is None:
        raise RegistryError(
            "Only a promoted version is sent to another stage.",
            expected="PROMOTE, neither withdrawn nor rebuilt as another one",
            found="withdrawn" if standing.withdrawn is not None else standing.decision and standing.decision.outcome,
            where=version,
        )
    record, decided = source.version(version), standing.decided
    assert decided is not None  # noqa: S101 (it is promoted)
    verify_version(source, version, folder)
    event = source.entries(fresh=False)[decided]
    origin = Origin(source.store.url, event.number, event.digest)
    keys = [*_keys(source.store, record), *(f"{source.model}/{name}" for name in _decided_by(standing.decision))]
    copied = at_once(target.store, [partial(_copy, source.store, target.store, key) for key in dict.fromkeys(keys)])
    target.store.put_if_absent(origin.key(source.model), seal_entry(event))
    arrived = target.version(version)
    if arrived.digest != record.digest:
        raise ObjectCorrupt(
            "the other store holds another version of this id",
            expected=record.digest,
            found=arrived.digest,
            where=target.store.url,
        )
    verify_version(target, version, folder)
    known = version in target.timeline()
    target.register(arrived, actor={**actor, "trigger": "manual"}, at=at, origin=origin)
    return Sent(version, sum(copied), len(copied) - sum(copied), not known)


def _decided_by(decision: Any) -> Iterator[str]:
    yield f"evidence/{decision.evidence}.json"
    yield f"configs/{decision.config}.json"


def _keys(store: ObjectStore, version: Version) -> Iterator[str]:
    """Yield the keys of all that a version is made of, and of its golden rows."""
    model = version.model
    yield f"{model}/versions/{version.id}.json"
    yield from store.list(f"{golden_folder(model, version.id)}/")
    named = {version.fit, *version.baselines.values(), *version.candidates.values(), *version.records}
    named |= set(fit_of(store, version).members or ())
    snapshots = {version.snapshot}
    for key in sorted(named):
        fit = fit_of(store, version, key)
        yield f"{model}/fits/{key}.json"
        files = [fit.model_file, *(fit.refits or ()), *([fit.unmitigated.model_file] if fit.unmitigated else ())]
        yield from (f"{model}/models/{file}.skops" for file in files)
        yield f"{model}/code/{fit.code}.json"
        yield from (f"{model}/code/{one}.py" for one in listed_code(store, model, fit.code).values())
        yield from (f"{model}/domains/{one}.json" for one in [fit.domain] if one is not None)
        yield from (f"{model}/configs/{one}.json" for one in [fit.config] if one is not None)
        snapshots.add(fit.snapshot)
    for digest in sorted(snapshots):
        snapshot = Snapshot.load(store, model, digest)
        yield f"{model}/snapshots/{digest}.json"
        for one in snapshot.sources:
            yield from (one.partition_key(pinned) for pinned in one.partitions)
        if snapshot.excluded is not None:
            yield f"{model}/quarantine/{snapshot.excluded}.parquet"


def _copy(source: ObjectStore, target: ObjectStore, key: str) -> bool:
    """Copy an object unless it exists, and tell whether it was copied; its bytes are verified against their digest later."""
    return False if target.exists(key) else target.put_if_absent(key, source.get(key))
