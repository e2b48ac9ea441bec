"""Mark objects that nothing needs, and remove marked objects after the grace period."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.config.model import ModelConfig
from include.retention.stored_bytes import StoredBytesLog, list_model
from include.retention.unneeded import FOLDERS, unneeded
from include.storage.store import PrunableStore
from include.storage.tombstones import State, Tombstone, Tombstones

log = logging.getLogger(__name__)

NEEDED_AGAIN = "something needs it again"


@dataclass(frozen=True)
class Tidied:
    """What a run of `tidy` did, or would do.

    Attributes
    ----------
    removed, marked, waiting : tuple of Tombstone
        What is removed, marked by this run, and marked earlier but not due.
    kept : tuple of str
        Keys whose marks were taken back, as something needs them again.
    former : int
        Of how many removed objects the bucket keeps a former version.
    dry : bool
        Whether nothing was done.
    """

    removed: tuple[Tombstone, ...]
    marked: tuple[Tombstone, ...]
    waiting: tuple[Tombstone, ...]
    kept: tuple[str, ...]
    former: int
    dry: bool

    def told(self) -> str:
        """Return it as sentences."""
        would = "would be " if self.dry else ""
        lines = [
            f"{would}removed: {_sums(self.removed)}",
            f"{would}marked for removal: {_sums(self.marked)}",
            f"marked before, not due: {_sums(self.waiting)}",
        ]
        if self.kept:
            lines.append(f"{would}kept, since something needs them again: {len(self.kept):,}")
        if self.former:
            lines.append(
                f"The bucket keeps former versions of {self.former:,} objects: let a lifecycle rule expire them."
            )
        if self.dry:
            lines.append("Nothing was marked or removed. To do it: --remove.")
        return "\n".join(lines)


def _sums(stones: Iterable[Tombstone]) -> str:
    kinds: dict[str, list[int]] = {}
    for one in stones:
        kinds.setdefault(one.kind, []).append(one.size)
    parts = (f"{kind} {len(sizes):,} objects, {sum(sizes):,} bytes" for kind, sizes in sorted(kinds.items()))
    return "; ".join(parts) or "nothing"


def tidy(
    store: PrunableStore, model: ModelConfig, *, at: datetime, remove: bool = False, run: str | None = None
) -> Tidied:
    """Remove what is due, and mark what nothing needs any more, to be removed by a run after the grace period.

    What is needed is found out first and what is due is removed after it; a task that comes in between takes its marks back,
    and the order of the log of tombstones says which of the two was first. Killed anywhere, the next run ends what was begun.

    Parameters
    ----------
    store : PrunableStore
    model : ModelConfig
        Its `retention` says how long what is kept, and how long the grace period is.
    at : datetime
        The instant that goes on record, and that ages are counted to.
    remove : bool
        Do it; otherwise only say what would be done.
    run : str, optional
        The run under whose id goes on record how many bytes there were of each kind, before anything was removed. Without it
        nothing does.

    Raises
    ------
    RatchetError
        When the ledger, or what it names, can't be read: nothing is removed on a guess.
    """
    stones, declared = Tombstones(store, model.name), model.retention
    known = stones.read()
    listing = list_model(store, model.name, FOLDERS)
    if run is not None:
        StoredBytesLog(store, model.name).record(listing.kinds, run=run, at=at)
    found = {one.found.key: one for one in unneeded(store, model, at, listing.found)}
    standing = [one for one in known.values() if one.state is State.MARKED and one.reason.startswith(_REASON)]
    again = [one.key for one in standing if one.key not in found]
    due = [one for one in standing if one.key in found and one.due <= at]
    begun = [one for one in known.values() if one.state is State.REMOVING]
    waiting = tuple(one for one in standing if one.key in found and one.due > at)
    news = tuple(
        Tombstone(
            one.found.key,
            one.kind,
            one.found.size,
            f"{_REASON}{one.kind} is kept for {getattr(declared, one.kind)}, and nothing needs it",
            at,
            at + declared.grace,
            State.MARKED,
        )
        for one in found.values()
        if one.found.key not in known or known[one.found.key].state is State.REMOVED
    )
    removed, former = [*begun, *due], 0
    if remove:
        stones.keep(again, why=NEEDED_AGAIN, at=at)
        gone, former = stones.remove([one.key for one in due], store.delete, at=at)
        after = stones.read()
        removed = [after[key] for key in gone]
        for kind in dict.fromkeys(one.kind for one in news):
            stones.mark([one for one in news if one.kind == kind], at=at)
        log.info("%s: %s objects removed, %s marked", model.name, len(removed), len(news))
    return Tidied(tuple(removed), news, waiting, tuple(again), former, not remove)


_REASON = "retention: "
