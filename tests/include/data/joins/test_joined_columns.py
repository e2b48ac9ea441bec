"""What is joined is what was known at each row's event time: by a loop over all rows, and by DuckDB."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.config.sections.rows.joins import JoinRule
from include.data.joins.joined_columns import add_joined, joined_schema
from include.data.row_digests import in_canonical_order
from include.errors import DataError

TIME = pa.timestamp("us", "UTC")
ROWS = pa.schema([("who", pa.string()), ("shop", pa.int64()), ("at", TIME)])
OTHER = pa.schema(
    [
        ("customer", pa.string()),
        ("shop", pa.int64()),
        ("since", TIME),
        ("known", TIME),
        ("order", pa.int64()),
        ("amount", pa.float64()),
        ("city", pa.string()),
        ("paid", pa.bool_()),
    ]
)
SAID = {
    "name": "o",
    "on": {"who": "customer", "shop": "shop"},
    "valid_from": "since",
    "columns": ["city", "amount"],
    "within": "5h",
    "windows": [
        {"over": "3h", "count": True, "sum": ["amount", "order"], "mean": ["amount", "paid"], "last": ["paid"]}
    ],
}
HOUR = timedelta(hours=1)


def hour(number: float) -> datetime:
    return datetime(2025, 3, 30, tzinfo=UTC) + number * HOUR


def rule(**said: Any) -> JoinRule:
    return JoinRule.model_validate({**SAID, **said})


def joined(rows: pa.Table, other: pa.Table, of: JoinRule) -> list[dict[str, Any]]:
    """Join as partitions are joined: the second source sorted by `valid_from` and the names of its rows, texts encoded."""
    other = in_canonical_order(other.select(of.reads), list(dict.fromkeys([of.valid_from, *of.keys])))
    made = [name for name, _, _, _ in of.made()]
    found: list[dict[str, Any]] = add_joined(rows, "at", other, of, made).select(made).to_pylist()
    return found


def by_hand(row: dict[str, Any], others: list[dict[str, Any]], of: JoinRule) -> dict[str, Any]:
    """Look at every row of the second source, as a person would."""
    named = all(row[ours] is not None for ours in of.on)
    seen: dict[Any, dict[str, Any]] = {}
    for other in others:
        known = other[of.known_at or of.valid_from] + of.delay.about()
        same = named and all(row[ours] == other[theirs] for ours, theirs in of.on.items())
        if not same or other[of.valid_from] > row["at"] or known > row["at"]:
            continue
        fact = tuple(other[name] for name in of.keys if name != of.known_at)
        if fact not in seen or seen[fact][of.known_at or of.valid_from] < other[of.known_at or of.valid_from]:
            seen[fact] = other
    result = {}
    for name, how, column, over in of.made():
        young = [one for one in seen.values() if row["at"] - one[of.valid_from] < over.about()]
        young.sort(key=lambda one: (one[of.valid_from], *(one[name] for name in of.row_id)))
        values = [
            float(one[column]) for one in young if column is not None and how != "last" and one[column] is not None
        ]
        if how == "last":
            result[name] = young[-1][column] if young else None
        elif not named or (how == "mean" and not values):
            result[name] = None
        elif how == "count":
            result[name] = len(young)
        else:
            result[name] = math.fsum(values) / (len(values) if how == "mean" else 1)
    return result


HOURS = st.integers(0, 12).map(hour)
WHO = st.sampled_from(["ann", "bob", "cat", None])
AMOUNTS = st.none() | st.sampled_from([0.1, 0.2, -0.3, 1e17, -1e17, 5.0])
ROW = st.fixed_dictionaries({"who": WHO, "shop": st.sampled_from([1, 2, None]), "at": HOURS})
PARTNER = st.fixed_dictionaries(
    {
        "customer": WHO,
        "shop": st.sampled_from([1, 2, None]),
        "since": HOURS,
        "known": HOURS,
        "order": st.integers(0, 2),
        "amount": AMOUNTS,
        "city": st.sampled_from(["Rome", "Oslo", None]),
        "paid": st.sampled_from([True, False, None]),
    }
)


def unlike(*names: str) -> Any:
    return st.lists(PARTNER, max_size=25, unique_by=lambda one: tuple(str(one[name]) for name in names))


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=12), unlike("customer", "shop", "since", "known", "order"), st.sampled_from(["0s", "1h"]))
def test_a_row_gets_what_was_known_at_its_event_time_of_corrections_too(rows, others, delay):
    of = rule(known_at="known", delay=delay, row_id=["order"])
    found = joined(pa.Table.from_pylist(rows, ROWS), pa.Table.from_pylist(others, OTHER), of)
    assert found == [by_hand(row, others, of) for row in rows]


@settings(max_examples=80, deadline=None)
@given(st.lists(ROW, max_size=12), unlike("customer", "shop", "since", "known", "order"), st.integers(0, 12))
def test_what_becomes_known_after_a_row_never_changes_it(rows, others, now):
    """The future can be anything: rows of the past are joined as if it were not there, to the last bit."""
    of = rule(known_at="known", row_id=["order"])
    past = [row for row in rows if row["at"] <= hour(now)]
    known = [one for one in others if one["known"] <= hour(now) and one["since"] <= hour(now)]
    whole = joined(pa.Table.from_pylist(rows, ROWS), pa.Table.from_pylist(others, OTHER), of)
    then = joined(pa.Table.from_pylist(past, ROWS), pa.Table.from_pylist(known, OTHER), of)
    assert then == [found for row, found in zip(rows, whole, strict=True) if row["at"] <= hour(now)]


def test_a_correction_counts_from_when_it_is_known_and_not_before():
    partner = {"customer": "ann", "shop": 1, "since": hour(1), "order": 0, "paid": None}
    first, then = {"known": hour(1), "amount": 5.0, "city": "Rome"}, {"known": hour(3), "amount": 7.0, "city": "Oslo"}
    other = pa.Table.from_pylist([{**partner, **then}, {**partner, **first}], OTHER)
    rows = pa.Table.from_pylist([{"who": "ann", "shop": 1, "at": hour(at)} for at in (0.5, 1, 2.9, 3, 3.9, 4)], ROWS)
    found = joined(rows, other, rule(known_at="known"))
    assert [one["o_city"] for one in found] == [None, "Rome", "Rome", "Oslo", "Oslo", "Oslo"]
    assert [one["o_amount_sum_3h"] for one in found] == [0, 5, 5, 7, 7, 0]
    assert [one["o_count_3h"] for one in found] == [0, 1, 1, 1, 1, 0]


def many(rng: np.random.Generator, rows: int, others: int) -> tuple[pa.Table, pa.Table]:
    """Return rows and partners by the minute: many at the same minute, some without a name."""

    def times(count: int) -> pd.DatetimeIndex:
        return pd.to_datetime(hour(0)) + pd.to_timedelta(rng.integers(0, 3000, count), unit="min")

    who = np.array(["ann", "bob", "cat", "dan", None], dtype=object)
    left = pd.DataFrame({"who": rng.choice(who, rows), "shop": rng.integers(1, 9, rows), "at": times(rows)})
    right = pd.DataFrame(
        {"customer": rng.choice(who[1:], others), "shop": rng.integers(1, 8, others), "since": times(others)}
    )
    right = right.drop_duplicates().reset_index(drop=True)
    count = len(right)
    right["known"] = right["since"]
    right["order"] = rng.integers(0, 99, count)
    right["amount"] = np.where(rng.random(count) < 0.1, np.nan, rng.normal(size=count).round(2))
    right["city"] = rng.choice(np.array(["Rome", "Oslo", None], dtype=object), count)
    right["paid"] = rng.random(count) < 0.5
    return (pa.Table.from_pandas(one, schema, preserve_index=False) for one, schema in ((left, ROWS), (right, OTHER)))  # type: ignore[return-value]


def test_duckdb_joins_the_same_as_of_event_time_and_over_windows():
    duckdb = pytest.importorskip("duckdb", reason="of requirements-dev.txt")
    rows, other = many(np.random.default_rng(5), 3000, 4000)
    found = pa.Table.from_pylist(joined(rows, other, rule(within="1000d")))
    with duckdb.connect() as sql:
        sql.register("r", rows.append_column("n", pa.array(range(len(rows)))))
        sql.register("o", other)
        as_of = sql.execute(
            "SELECT o.city, o.amount FROM r ASOF LEFT JOIN o ON r.who = o.customer AND r.shop = o.shop AND r.at >= o.since ORDER BY r.n"
        ).fetchall()
        # fsum is Kahan's sum: near the exact one, but not it.
        windows = sql.execute(
            'SELECT count(o.since), coalesce(fsum(o.amount), 0), coalesce(sum(o."order"), 0) FROM r LEFT JOIN o ON r.who = o.customer '
            "AND r.shop = o.shop AND r.at >= o.since AND r.at < o.since + INTERVAL 3 HOUR WHERE r.who IS NOT NULL GROUP BY r.n ORDER BY r.n"
        ).fetchall()
    assert list(zip(found["o_city"].to_pylist(), found["o_amount"].to_pylist(), strict=True)) == as_of
    named = found.filter(rows["who"].is_valid())
    assert named["o_count_3h"].to_pylist() == [count for count, _, _ in windows]
    assert named["o_order_sum_3h"].to_pylist() == [total for _, _, total in windows]
    assert np.allclose(named["o_amount_sum_3h"].to_pylist(), [total for _, total, _ in windows], rtol=0, atol=1e-12)


def test_a_part_of_the_rows_gets_the_same_bits_as_all_of_them():
    rows, other = many(np.random.default_rng(8), 600, 3000)
    of = rule()
    whole = joined(rows, other, of)
    times = rows["at"].to_pylist()
    some = sorted(range(len(rows)), key=times.__getitem__)[200:230]
    first, last = times[some[0]] - of.reach, times[some[-1]]
    near = other.filter(pa.array([first <= since <= last for since in other["since"].to_pylist()]))
    assert near.num_rows < other.num_rows
    assert joined(rows.take(pa.array(some)), near, of) == [whole[place] for place in some]


OWN = {"who": "string", "shop": "integer", "at": "timestamp", "o_city": "string"}
SECOND = {
    field.name: word
    for field, word in zip(
        OTHER, ["string", "integer", "timestamp", "timestamp", "integer", "float", "string", "boolean"], strict=True
    )
}


@pytest.mark.parametrize(
    ("said", "own", "message"),
    [
        ({"columns": ["cty"]}, {}, "no column `cty`.*did you mean `city`"),
        ({"on": {"whom": "customer"}}, {}, "no column `whom`.*did you mean `who`"),
        ({"on": {"who": "shop"}}, {}, "`who` and `shop` can't be compared.*string.*integer"),
        ({"known_at": "order"}, {}, "`order` is not a timestamp"),
        ({"windows": [{"over": "1d", "sum": ["city"]}]}, {}, "`city` has no sum.*`last`"),
        ({}, OWN, "`o_city` exists already.*another `name`"),
    ],
)
def test_what_can_not_be_joined_is_said_with_a_way_out(said, own, message):
    first = {"who": "string", "shop": "integer", "at": "timestamp"}
    with pytest.raises(DataError, match=f"(?s){message}"):
        joined_schema(own or first, rule(**said), SECOND, "parcels")
