"""The audit log of a model: which steps were verified, and what each found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.storage.content import from_iso, to_iso
from include.storage.log import Entry, Log
from include.storage.store import ObjectStore

AUDITED = "audited"
_CHAIN = "the chain"
_FORMER = {"the ledger": _CHAIN}
"""What releases before called the one step of a ledger that can't be read."""


@dataclass(frozen=True)
class AuditRun:
    """The steps that one run of the audit verified.

    Attributes
    ----------
    run : str
        The id of the run.
    first, last : int
        The numbers of the first and the last step that it took; steps are numbered as `include.audit.audit.steps_of` lists them.
    total : int
        How many steps there were then.
    calls : int
        How many calls of the store it made.
    wrong : dict of str to str
        What is wrong, by the step's name.
    looked : tuple of str
        The names of all steps that it took.
    """

    run: str
    first: int
    last: int
    total: int
    calls: int
    wrong: dict[str, str]
    looked: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether it came to the end."""
        return self.last + 1 >= self.total

    def to_json(self) -> dict[str, Any]:
        """Return the event's body."""
        return {**vars(self), "looked": list(self.looked)}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> AuditRun:
        """Read an event's body."""
        return cls(**{**body, "looked": tuple(body["looked"])})


@dataclass(frozen=True)
class AuditState:
    """The state after all audits of a model.

    Attributes
    ----------
    next_step : int
        The step at which the next run continues; 0 to start again.
    wrong : dict of str to str
        The open findings, by the step's name.
    last, completed : datetime or None
        When the last run ended, and the last one that came to the end of all steps.
    steps : tuple of int
        Of the last run: the number of the last step that it took, from 1, and of all.
    """

    next_step: int = 0
    wrong: tuple[tuple[str, str], ...] = ()
    last: datetime | None = None
    completed: datetime | None = None
    steps: tuple[int, int] = (0, 0)


class AuditLog:
    """The audits of one model."""

    def __init__(self, store: ObjectStore, model: str) -> None:
        self._log = Log(store, f"{model}/audit/log")

    def state(self) -> AuditState:
        """Return what stands."""
        return audit_state(self._log.read())

    def of_run(self, run: str) -> AuditRun | None:
        """Return what a run put on record, if it did."""
        return next((one for one in map(_read, self._log.read()) if one.run == run), None)

    def keep(self, found: AuditRun, *, at: datetime) -> AuditRun:
        """Put on record what a run found, once."""

        def unless_known(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
            return None if any(_read(entry).run == found.run for entry in entries) else (AUDITED, found.to_json())

        self._log.append(unless_known, at=to_iso(at))
        kept = self.of_run(found.run)
        assert kept is not None  # noqa: S101 (just read or written)
        return kept


def audit_state(entries: Iterable[Entry]) -> AuditState:
    """Fold the events into the current state.

    A finding ends when its step is right again, or is none any more: of an event that was forged, once the ledger is restored.
    """
    wrong: dict[str, str] = {}
    looked: set[str] = set()  # since the first step
    state = AuditState()
    for entry in entries:
        run, at = _read(entry), from_iso(entry.at)
        looked = {*run.looked} if run.first == 0 else looked | {*run.looked}
        wrong = {name: said for name, said in wrong.items() if name not in run.looked}
        wrong |= {_FORMER.get(name, name): said for name, said in run.wrong.items()}
        if run.complete and _CHAIN not in wrong:  # of a ledger that can't be read no other step is known
            wrong = {name: said for name, said in wrong.items() if name in looked}
        state = AuditState(
            next_step=0 if run.complete else run.last + 1,
            wrong=tuple(sorted(wrong.items())),
            last=at,
            completed=at if run.complete else state.completed,
            steps=(run.last + 1, run.total),
        )
    return state


def _read(entry: Entry) -> AuditRun:
    return AuditRun.from_json(entry.body)
