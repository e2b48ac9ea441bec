"""The columns that a join adds to rows: their types and their values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

import pyarrow as pa

from include.config.sections.rows.joins import JoinRule
from include.data.joins.point_in_time import Partners, newest, partners
from include.data.joins.windowed import WindowTotals
from include.errors import DataError, did_you_mean

_NUMBERS = ("integer", "float", "boolean")


def joined_schema(own: Mapping[str, str], rule: JoinRule, other: Mapping[str, str], model: str) -> dict[str, str]:
    """Return the types of the columns that a join adds.

    Parameters
    ----------
    own, other : mapping of str to str
        The schemas of the rows and of the second source.

    Raises
    ------
    DataError
        When the two can't be joined so, or a column has the name of one that is there.
    """
    where = f"model {model}, join `{rule.name}`"
    for ours, theirs in rule.on.items():
        _check_there(ours, own, "the model's own source", where)
        _check_there(theirs, other, "the second source", where)
        if own[ours] != other[theirs]:
            raise DataError(
                f"`{ours}` and `{theirs}` can't be compared: their types differ.",
                expected=f"{own[ours]}, as `{ours}` is",
                found=f"{other[theirs]}",
                where=where,
                remedy="declare the same type for both: `columns` of files, `types` of a query or reader",
            )
    for name in rule.reads:
        _check_there(name, other, "the second source", where)
    for name in (rule.valid_from, *([] if rule.known_at is None else [rule.known_at])):
        if other[name] != "timestamp":
            raise DataError(
                f"`{name}` is not a timestamp.",
                expected="timestamp",
                found=other[name],
                where=where,
                remedy="declare its type as `timestamp`, with its `format` if it is not ISO 8601",
            )
    added = {}
    for name, how, column, _ in rule.made():
        if name in own:
            raise DataError(
                f"The column `{name}` exists already.",
                expected="names that the model's own source does not have",
                where=where,
                remedy="give the join another `name`: its columns begin with it",
            )
        kind = "integer" if column is None else other[column]
        if how in ("sum", "mean") and kind not in _NUMBERS:
            raise DataError(
                f"`{column}` has no {how}.",
                expected="a column of numbers or truth values",
                found=kind,
                where=where,
                remedy="declare it as a number, or take its `last` value",
            )
        added[name] = "float" if how in ("sum", "mean") else kind
    return added


def add_joined(rows: pa.Table, event_time: str, other: pa.Table, rule: JoinRule, wanted: Collection[str]) -> pa.Table:
    """Return rows with the wanted columns of a join, nothing of it later than each row's event time.

    Parameters
    ----------
    rows : pyarrow.Table of n_rows
        With the columns of ``rule.on`` and the event time.
    other : pyarrow.Table of n_partners
        The second source's rows with the columns of ``rule.reads``, sorted by ``valid_from`` and then by ``rule.keys``.
    wanted : collection of str
        Names of columns; those that the join does not make are ignored.
    """
    known = partners(rows, event_time, other, rule)
    for name, how, column, over in rule.made():
        if name in wanted:
            rows = rows.append_column(name, _values(known, other, how, column, over.about()))
    return rows


def _values(
    known: Partners, other: pa.Table, how: str, column: str | None, over: timedelta
) -> pa.Array | pa.ChunkedArray:
    span = int(over.total_seconds()) * 10**6
    if how == "last":
        place = newest(known, span)
        return other[column].take(pa.array(place, mask=place < 0))
    totals = WindowTotals(known, span)
    if column is None:
        return totals.count()
    return totals.sum(other[column]) if how == "sum" else totals.mean(other[column])


def _check_there(name: str, schema: Mapping[str, str], what: str, where: str) -> None:
    if name not in schema:
        raise DataError(
            f"There is no column `{name}`.",
            expected=f"a column of {what}",
            found=", ".join(sorted(schema)),
            where=where,
            remedy=did_you_mean(name, schema, "correct the join in model.yaml"),
        )
