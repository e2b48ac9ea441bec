"""Audit a model: verify as many of the objects that its ledger names as one run may cost."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from include.audit.audit_log import AuditLog, AuditRun
from include.config.model import ModelConfig
from include.errors import ObjectRemoved, RatchetError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.verification import Step, steps
from include.scoring.golden import check_golden, load_golden
from include.scoring.predictor import open_predictor
from include.storage.store import ObjectStore
from include.storage.tombstones import MarkedStore

log = logging.getLogger(__name__)


class CountedStore:
    """A store that counts its calls."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.url, self.parallel = store.url, store.parallel
        self.calls = 0

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """See `ObjectStore.put_if_absent`."""
        self.calls += 1
        return self._store.put_if_absent(key, body)

    def get(self, key: str) -> bytes:
        """See `ObjectStore.get`."""
        self.calls += 1
        return self._store.get(key)

    def exists(self, key: str) -> bool:
        """See `ObjectStore.exists`."""
        self.calls += 1
        return self._store.exists(key)

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """See `ObjectStore.list`."""
        self.calls += 1
        return self._store.list(prefix, after=after)


def audit(store: ObjectStore, model: ModelConfig, folder: Path, *, run: str, calls: int, at: datetime) -> AuditRun:
    """Take the steps after those of the last run, until they have cost enough, and put on record what was found.

    A step is never cut: the last one may cost more than is left. After the last step, the next run starts again at the first
    one. A repeated run finds its result; a killed run starts again where it started.

    Parameters
    ----------
    folder : Path
        The model's folder.
    run : str
        The id of the run.
    calls : int
        How many calls of the store the steps may cost.
    at : datetime
        The instant that goes on record.

    Raises
    ------
    StoreUnavailable
        When the store does not answer; nothing is on record then.
    """
    audits = AuditLog(store, model.name)
    if (known := audits.of_run(run)) is not None:
        return known
    counted = CountedStore(store)
    taken = steps_of(Ledger(counted, model.name), model, folder)
    first = audits.state().next_step
    first = first if first < len(taken) else 0
    wrong: dict[str, str] = {}
    last = first
    for number, step in enumerate(taken[first:], first):
        last = number
        try:
            log.info("%s: %s", step.name, step.look())
        except StoreUnavailable:
            raise
        except ObjectRemoved as error:
            log.info("%s: %s", step.name, error.message)
        except RatchetError as error:
            log.error("%s: %s", step.name, error)
            wrong[step.name] = str(error)
        if counted.calls >= calls:
            break
    looked = tuple(step.name for step in taken[first : last + 1])
    return audits.keep(AuditRun(run, first, last, len(taken), counted.calls, wrong, looked), at=at)


def steps_of(ledger: Ledger, model: ModelConfig, folder: Path) -> list[Step]:
    """Return the steps of a whole audit in their order; new events only add steps at the end.

    They are those of `include.registry.verification.steps`, and the golden rows of each version that was in force.
    """
    found: list[Step] = []
    for step in steps(ledger, folder):
        found.append(step)
        event = step.event
        if event is not None and (event.body.get("outcome") == "PROMOTE" or event.kind == "rebuilt"):
            version = str(event.body["version"])
            how = "rebuilt" if event.kind == "rebuilt" else "promoted"
            name = f"golden rows of {version}, {how} by event {event.number}"
            found.append(Step(name, lambda version=version: _golden(ledger, model, folder, version)))  # type: ignore[misc]
    return found


def _golden(ledger: Ledger, model: ModelConfig, folder: Path, version: str) -> str:
    if (rebuilt := ledger.timeline()[version].rebuilt_as) is not None:
        return f"{rebuilt} replaced it: under the installed libraries it may predict other values, or fail"
    signed = ledger.statement(version)
    store = MarkedStore(ledger.store, model.name)
    kept = load_golden(store, model.name, version, named=signed.golden if signed else ())
    with open_predictor(store, model, folder, ledger.version(version)) as predictor:
        for golden in kept:
            check_golden(predictor, golden)
    return f"{sum(golden.num_rows for golden in kept)} are predicted as they were"
