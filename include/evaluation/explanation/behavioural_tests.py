"""Behavioural tests of a model: invariances, directions and single cases that its team declares."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from include.config.sections.behaviour import Behaviour, Case, Direction, Invariance
from include.errors import EvaluationError, RatchetError, nearest
from include.evaluation.explanation.results import BehaviourResult
from include.evaluation.scored_rows import Scored
from include.training.preprocessing.category_encoder import category_name

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]

MAX_BEHAVIOUR_ROWS = 1_000
"""The largest number of holdout rows of a test; if there are more, they are sampled."""

_NOISE = 1e-9
"""By this share of the largest prediction two may differ because of the rows that they were computed beside."""


@dataclass(frozen=True)
class BehaviourInputs:
    """The rows of a behavioural test, and the model that predicts them.

    Parameters
    ----------
    raw, frame : DataFrame
        Holdout rows before and after ``features.derive``, in the same order.
    scored : Scored
        The challenger's answers for them.
    derive : function of DataFrame to DataFrame
    score : function of DataFrame to Scored
        The challenger's answers for rows with their features.
    classes : tuple or None
        None where the target is a number, or there is none.
    clusters : bool
        Whether answers are numbers of clusters.
    """

    raw: pd.DataFrame
    frame: pd.DataFrame
    scored: Scored
    derive: Callable[[pd.DataFrame], pd.DataFrame]
    score: Callable[[pd.DataFrame], Scored]
    classes: tuple[Any, ...] | None
    clusters: bool = False

    def sampled(self, seed: int) -> BehaviourInputs:
        """Return at most `MAX_BEHAVIOUR_ROWS` of the rows."""
        at = np.sort(np.random.default_rng(seed).permutation(len(self.raw))[:MAX_BEHAVIOUR_ROWS])
        return replace(
            self,
            raw=self.raw.iloc[at].reset_index(drop=True),
            frame=self.frame.iloc[at].reset_index(drop=True),
            scored=Scored(self.scored.score[at], self.scored.threshold),
        )

    def changed(self, column: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Array:
        """Return the answers for the rows with a column changed: before features are derived, or as derived."""
        if column in self.raw:
            return self.score(self.derive(change(self.raw))).score
        return self.score(change(self.frame)).score

    def column(self, name: str) -> pd.Series[Any]:
        """Return a column; raises `EvaluationError` where there is none."""
        for frame in (self.raw, self.frame):
            if name in frame:
                return frame[name]
        raise _no_column(name, [*self.raw.columns, *self.frame.columns])


def behaviours_of(checks: Sequence[Behaviour], asked: BehaviourInputs, *, seed: int) -> tuple[BehaviourResult, ...]:
    """Ask every declared check; what can't be asked is unknown, with the reason."""
    some = asked.sampled(seed)
    found = []
    for check in checks:
        try:
            one = _answered(check, some)
        except RatchetError as error:
            one = _unknown(check, error.message)
        except Exception as error:  # noqa: BLE001 (the team's own `derive` may raise anything; its words may hold row data)
            one = _unknown(check, f"`features.derive` raises {type(error).__name__} for such rows")
        log.log(
            logging.INFO if one.state == "held" else logging.ERROR,
            "behaviour %s: %s: %s",
            one.name,
            one.state,
            one.found,
        )
        found.append(one)
    return tuple(found)


def _unknown(check: Behaviour, why: str) -> BehaviourResult:
    return BehaviourResult(check.name, check.kind, "unknown", 0, 0, f"it can't be asked: {why.rstrip('.')}")


def _answered(check: Behaviour, asked: BehaviourInputs) -> BehaviourResult:
    match check:
        case Invariance():
            return _invariance(check, asked)
        case Direction():
            return _direction(check, asked)
        case Case():
            return _case(check, asked)


def _invariance(check: Invariance, asked: BehaviourInputs) -> BehaviourResult:
    asked.column(check.column)
    before, moved = asked.scored.score, np.zeros(len(asked.raw))
    for value in check.values:
        after = asked.changed(check.column, partial(_with, column=check.column, value=value))
        apart = (after != before).astype(float) if asked.clusters else np.abs(after - before)
        moved = np.maximum(moved, apart if apart.ndim == 1 else apart.max(axis=1))
    values = ", ".join(str(value) for value in check.values)
    farther = "change cluster" if asked.clusters else f"move by more than {check.tolerance:g}"
    return _counted(check, asked, moved, before, f"{farther} when `{check.column}` is put to {values}")


def _direction(check: Direction, asked: BehaviourInputs) -> BehaviourResult:
    column, before = asked.column(check.column), asked.scored.score
    if before.ndim == 2:
        raise EvaluationError("of more than two classes none is the one whose probability must move")
    if not pd.api.types.is_numeric_dtype(column.dtype) or pd.api.types.is_bool_dtype(column.dtype):
        raise EvaluationError(f"`{check.column}` holds no numbers")
    has = column.notna().to_numpy()
    if not has.any():
        raise EvaluationError(f"no holdout row has a value of `{check.column}`")
    after = asked.changed(check.column, lambda rows: rows.assign(**{check.column: rows[check.column] + check.by}))
    wrong = (before - after if check.must_not == "fall" else after - before)[has]
    farther = f" by more than {check.tolerance:g}" if check.tolerance else ""
    return _counted(
        check, asked, wrong, before, f"{check.must_not}{farther} when `{check.column}` changes by {check.by:+g}"
    )


def _counted(
    check: Invariance | Direction, asked: BehaviourInputs, moved: Array, before: Array, what: str
) -> BehaviourResult:
    broken = int((moved > check.tolerance + _NOISE * np.abs(before).max()).sum())
    rows, worst = len(moved), max(0.0, float(moved.max()))
    allowed = f"{100 * check.may_break:.4g} % may" if check.may_break else "none may"
    how_many = f"{broken:,} ({100 * broken / rows:.3g} %)" if broken else "none"
    far = "" if asked.clusters or not broken else f", the farthest by {worst:.4g}"
    found = f"of {rows:,} holdout rows {how_many} {what}{far}; {allowed}"
    return BehaviourResult(
        check.name, check.kind, "held" if broken / rows <= check.may_break else "broken", rows, broken, found
    )


def _case(check: Case, asked: BehaviourInputs) -> BehaviourResult:
    for name in check.row:
        if name not in asked.raw:
            raise _no_column(name, list(asked.raw.columns))
    row = asked.raw.iloc[[0]]
    for column in asked.raw.columns:
        row = _with(row, str(column), check.row.get(str(column)))
    scored = asked.score(asked.derive(row))
    score, wanted, right = scored.score[0], [], True
    if check.says is not None:
        classes = asked.classes or ()
        if category_name(check.says) not in map(category_name, classes):
            raise EvaluationError(f"there is no class {check.says}, but {' and '.join(map(str, classes))}")
        right = category_name(classes[int(np.asarray(scored.said)[0])]) == category_name(check.says)
        wanted.append(f"be said to be {check.says}")
    if check.at_least is not None or check.at_most is not None:
        if np.ndim(score):
            raise EvaluationError("of more than two classes none is the one whose probability has bounds")
        right &= (check.at_least is None or score >= check.at_least) and (
            check.at_most is None or score <= check.at_most
        )
        bounds = {"at least": check.at_least, "at most": check.at_most}
        wanted.append(f"be {' and '.join(f'{name} {bound:g}' for name, bound in bounds.items() if bound is not None)}")
    answer = f"{score:.4g}" if not np.ndim(score) else f"{score.max():.4g}"
    if asked.classes is not None:
        answer = f"{asked.classes[int(np.asarray(scored.said)[0])]} with probability {answer}"
        answer = answer if np.ndim(score) else f"{answer} of {asked.classes[1]}"
    found = f"the prediction is {answer}, and must {' and '.join(wanted)}"
    return BehaviourResult(check.name, check.kind, "held" if right else "broken", 1, 0 if right else 1, found)


def _with(rows: pd.DataFrame, column: str, value: Any) -> pd.DataFrame:
    """Return rows with one value in a column, of the column's own type as far as it can hold it."""
    dtype, api = rows[column].dtype, pd.api.types
    changed: Any
    if isinstance(dtype, pd.CategoricalDtype):
        levels = dtype.categories if value is None else dtype.categories.union([str(value)])
        changed = pd.Categorical([None if value is None else str(value)] * len(rows), categories=levels)
    elif api.is_datetime64_any_dtype(dtype):
        instant: Any = pd.NaT if value is None else pd.Timestamp(value)
        if isinstance(dtype, pd.DatetimeTZDtype) and value is not None and instant.tzinfo is None:
            instant = instant.tz_localize("UTC")
        changed = pd.Series([instant] * len(rows), index=rows.index, dtype=dtype)
    elif value is None:
        missing = "boolean" if api.is_bool_dtype(dtype) else "float64" if api.is_numeric_dtype(dtype) else dtype
        changed = pd.Series([None] * len(rows), index=rows.index, dtype=missing)
    elif api.is_numeric_dtype(dtype) and not isinstance(value, int | float):
        raise EvaluationError(f"`{column}` holds numbers, and {value!r} is none")
    else:
        changed = pd.Series([value] * len(rows), index=rows.index)
    return rows.assign(**{column: changed})


def _no_column(name: str, known: Sequence[Any]) -> EvaluationError:
    close = nearest(name, [str(one) for one in known])
    return EvaluationError(f"there is no column `{name}`" + (f"; did you mean `{close}`?" if close else ""))
