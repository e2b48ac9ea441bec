"""Features that change when other rows are taken away: they were made with what nobody knows at prediction time."""

from __future__ import annotations

from collections.abc import Callable

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
    return later_rows(learned.raw, learned.derived, derive)


def later_rows(raw: pd.DataFrame, whole: pd.DataFrame, derive: Derive | None) -> Tripwire:
    """Derive again without the later half of the rows, and without every other row; what stays must be equal.

    Who looks at later rows gives the earlier half other values; who looks at neighbours, however rarely, other ones to
    each second row.

    Parameters
    ----------
    raw : DataFrame
        Training rows before ``derive``, in the order of time.
    whole : DataFrame
        The same rows after it.
    """
    if derive is None:
        return Tripwire(_NAME, "not_asked", "the model derives no features: each row is as the source gives it")
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
        f"{len(raw):,} training rows have the same features without the later half of them, and without every other row",
    )
