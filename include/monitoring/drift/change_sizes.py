"""Effect sizes of changes in a column, against the same weekdays of the reference and the same season of earlier years."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.config.sections.watch import Levels
from include.monitoring.drift.column_drift import effect_in
from include.monitoring.drift.earlier_seasons import Earlier
from include.monitoring.drift.effect_sizes import Effect
from include.monitoring.drift.periods import Period, Reference

Array = NDArray[Any]

_EFFECTS = {
    "location": {"psi", "total_variation", "wasserstein"},
    "shape": {"psi", "total_variation", "wasserstein"},
    "missing": {"missing"},
    "outside": {"outside"},
}


@dataclass(frozen=True, eq=False)
class ChangeSizes:
    """Effect sizes of changes: each watched period compared with the reference periods of the same phase, weighted by its rows."""

    reference: Reference
    periods: Sequence[Period]
    phase: Array
    levels: Levels
    earlier: Earlier

    def of(self, column: str, looks: Sequence[int], statistics: set[str]) -> tuple[str | None, Effect | None]:
        """Return a sentence if a change matters in what was surprising, and the effect of a column, both beside the reference.

        What does not matter beside earlier years, where there are any, does not matter.
        """
        said, effect = self._beside(column, [(look, self._alike(look)) for look in looks], statistics)
        earlier = [(look, self._years(look, column)) for look in looks]
        if said is not None and any(others for _, others in earlier):
            known = [(look, others) for look, others in earlier if others]
            again, _ = self._beside(column, known, statistics)
            said = None if again is None else f"{said}, also beside the same weeks of earlier years"
        return said, effect

    def _alike(self, look: int) -> list[Period]:
        of = len(self.reference.periods)
        same = self.phase[:of] == self.phase[of + look]
        return [one for one, is_same in zip(self.reference.periods, same, strict=True) if is_same and one.rows]

    def _years(self, look: int, column: str) -> list[Period]:
        found = self.earlier.get(self.periods[look].until)
        if found is None:
            return []
        rows = sum(found.counts[column][:-1]) if column else found.rows
        return [found] if rows else []

    def _beside(
        self, column: str, looks: Sequence[tuple[int, list[Period]]], statistics: set[str]
    ) -> tuple[str | None, Effect | None]:
        current = [self.periods[look] for look, _ in looks]
        before: list[tuple[Period, float]] = []
        for look, others in looks:
            total = sum(one.rows for one in others)
            before += [(one, self.periods[look].rows / total) for one in others]
        if not before or not sum(one.rows for one in current):
            return None, None
        if not column:
            return self._of_rows(current, before, statistics), None
        effect = effect_in(self.reference, column, before, current)
        wanted = set().union(*(_EFFECTS[one] for one in statistics))
        beyond = [name for name in effect.beyond(self.levels) if name in wanted]
        return (_sentence(column, effect, beyond) if beyond else None), effect

    def _of_rows(
        self, current: Sequence[Period], before: Sequence[tuple[Period, float]], statistics: set[str]
    ) -> str | None:
        now, then = (
            {name: float(np.mean([getattr(one, name) for one in each])) for name in ("rows", "duplicates", "lag")}
            for each in (current, [one for one, _ in before])
        )
        if "volume" in statistics and abs(now["rows"] / then["rows"] - 1) >= self.levels.rows:
            return f"{now['rows'] / then['rows'] - 1:+.0%} rows a period"
        if "duplicates" in statistics and now["duplicates"] - then["duplicates"] >= self.levels.share:
            return f"{now['duplicates']:.1%} of the rows come twice, {then['duplicates']:.1%} did"
        length = (current[-1].until - current[-1].after).total_seconds()
        if "lag" in statistics and now["lag"] - then["lag"] >= self.levels.share * length:
            return f"the newest row is {(now['lag'] - then['lag']) / 3600:.1f} hours older than it used to be"
        return None


def _sentence(column: str, effect: Effect, beyond: Sequence[str]) -> str:
    parts = {
        "psi": f"population stability index {effect.psi:.2f}",
        "total_variation": f"{effect.total_variation:.0%} of the rows moved",
        "wasserstein": f"values moved by {effect.wasserstein or 0:.2f} standard deviations",
        "missing": f"{100 * effect.missing:+.1f} points of rows without a value",
        "outside": f"{100 * effect.outside:+.1f} points of rows outside what training had",
    }
    return f"`{column}`: {', '.join(parts[name] for name in beyond)}"
