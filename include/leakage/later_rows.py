"""Leakage check: features that change when later rows are removed use information from the future."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pandas as pd

from include.data.columns.equal_values import equal_values
from include.leakage.inputs import LeakageInputs
from include.leakage.tripwire import Tripwire

_NAME = "later_rows"
Derive = Callable[[pd.DataFrame], pd.DataFrame]


def ask(inputs: LeakageInputs) -> Tripwire:
    """Derive the training rows of one fit again, without some of them."""
    learned = inputs.learned
    derive = learned.origin.derive if learned.declared.features.derive else None
    if derive is None:
        return Tripwire(_NAME, "not_asked", "the model derives no features: each row is as the source gives it")
    return later_rows(learned.parts(), derive)


def later_rows(parts: Iterable[tuple[pd.DataFrame, pd.DataFrame]], derive: Derive) -> Tripwire:
    """Derive again without the later half of the rows, and without every other row; what stays must be equal.

    Who looks at later rows gives the earlier half other values; who looks at neighbours, however rarely, other ones to
    each second row.

    Parameters
    ----------
    parts : iterable of (DataFrame, DataFrame)
        Training rows before ``derive``, in the order of time, and the same rows after it: as often as they were derived apart.
    derive : callable
    """
    rows = 0
    changed: dict[str, tuple[int, str]] = {}
    for raw, whole in parts:
        rows += len(raw)
        for name, (count, how) in _changed(raw, whole, derive).items():
            changed[name] = (changed.get(name, (0, how))[0] + count, how)
        del raw, whole  # not held while the next part is read
    if changed:
        named = ", ".join(f"`{name}` ({count:,} rows, {how})" for name, (count, how) in changed.items())
        return Tripwire(
            _NAME,
            "tripped",
            f"derived again from fewer rows, features have other values: {named}",
            "`features.derive` looks at other rows to make them, and in use the later ones do not exist yet. Make each "
            "value of its own row alone; what is learned from rows belongs to the groups of `features`, and what sums up "
            "the past, such as a count of earlier events, to the source, where it can be bounded in time",
        )
    return Tripwire(
        _NAME,
        "clear",
        f"{rows:,} training rows have the same features without the later half of them, and without every other row",
    )


def _changed(raw: pd.DataFrame, whole: pd.DataFrame, derive: Derive) -> dict[str, tuple[int, str]]:
    """Return in how many rows a column is another, and without which rows."""
    parts = {
        "without the later half": slice(0, (len(raw) + 1) // 2),
        "without every other row": slice(0, len(raw), 2),
    }
    changed: dict[str, tuple[int, str]] = {}
    for how, places in parts.items():
        again = derive(raw.iloc[places])
        for name in [name for name in whole.columns if name not in changed]:
            if name in again and (same := equal_values(whole[name].iloc[places], again[name])).all():
                continue
            count = int((~same).sum()) if name in again else len(again)
            changed.setdefault(str(name), (count, how))
    return changed
