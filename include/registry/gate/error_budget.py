"""Error budget of a model's decisions: how many wrong promotions `gate.lifetime` still allows.

The procedure is that of SAFFRON (Ramdas, Zrnic, Wainwright and Jordan 2018, "SAFFRON: an adaptive algorithm for online control
of the false discovery rate", ICML 35), for the number of false discoveries in a stretch of time instead of their share. A
decision tests at a level that only earlier decisions determine. If its challenger does not even seem better, by a p-value
above `CANDIDATE`, the decision has spent its level / (1 - `CANDIDATE`); if it seems better, it has spent nothing. A
challenger that is no better has a p-value above `CANDIDATE` at least as often as 1 - `CANDIDATE`: on average such
decisions spend at least their level, so wrong promotions are at most what is spent, in the mean. What is spent never
exceeds what has accrued: so many a year, from the first version on. Why: docs/decisions/0051.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.registry.version_states import Decision, VersionState

CANDIDATE = 0.5
"""A p-value up to here spends nothing: the estimate itself is on the right side."""

SHARE = 0.5
"""Of what is left, so much may be spent by one decision: the next ones have something to decide with as well."""

YEAR = timedelta(days=365.25)


@dataclass(frozen=True)
class Budget:
    """The wrong promotions that are left to risk at an instant; below zero where a later backfill has spent them in retrospect."""

    left: float = 0.0
    at: datetime | None = None

    def grown(self, until: datetime, a_year: float) -> Budget:
        """Return what is left later, if nothing is spent: so much a year more, and at most what a year brings."""
        if self.at is None:
            return Budget(0.0, until)
        return Budget(min(a_year, self.left + a_year * ((until - self.at) / YEAR)), until)

    def after(self, decision: Decision) -> Budget:
        """Return what is left after a decision at this instant."""
        if decision.incumbent is None or decision.evidence is None or decision.by_gate == "INCOMPARABLE":
            return self
        if decision.lifetime is None:  # made at its full error, with nothing set aside for it
            return Budget(min(self.left, 0.0), self.at)
        return self.minus(decision.lifetime["spent"])

    def minus(self, spent: float) -> Budget:
        """Return what is left once so much is spent."""
        return Budget(self.left - spent, self.at)


def level_of(left: float, confidence: float) -> float:
    """Return the error at which a decision may promote: what is left allows it, and the policy's confidence as well."""
    return min(1 - confidence, SHARE * (1 - CANDIDATE) * max(0.0, left))


def spent_by(level: float, *, seems_better: bool) -> float:
    """Return what a decision at this level has spent."""
    return 0.0 if seems_better else level / (1 - CANDIDATE)


def left_for(standings: Iterable[VersionState], order: tuple[datetime, int], a_year: float) -> float:
    """Return what is left for a decision, by all decisions that come before it in the order of the versions.

    Parameters
    ----------
    standings : iterable of VersionState
    order : (datetime, int)
        The place of the decision: the instant whose rows it is made on, and the number that its version was registered under.
    a_year : float
        Wrong promotions a year that its policy accepts. Earlier decisions have let accrue what their own policies accept.
    """
    return BudgetHistory(standings, a_year).left_for(order)


class BudgetHistory:
    """What was left after each decision, in the order of the versions: for many decisions at the cost of one.

    Parameters
    ----------
    standings, a_year
        As of `left_for`.
    """

    def __init__(self, standings: Iterable[VersionState], a_year: float) -> None:
        looks = [
            (standing.look(decision), standing.order[1], decision)
            for standing in standings
            if standing.rebuilt_as is None  # its decisions count once, for the rebuilt version that has them now
            for decision in standing.looks
        ]
        self._a_year = a_year
        self._orders: list[tuple[datetime, int]] = []
        self._after = [Budget()]
        for at, registered, decision in sorted(looks, key=lambda look: look[:2]):
            accrued = self._after[-1].grown(at, decision.lifetime["a_year"] if decision.lifetime else a_year)
            self._orders.append((at, registered))
            self._after.append(accrued.after(decision))

    def left_for(self, order: tuple[datetime, int]) -> float:
        """Return what is left for a decision at a place, by all before it."""
        before = self._after[bisect_left(self._orders, order)]
        return round(before.grown(order[0], self._a_year).left, 12)
