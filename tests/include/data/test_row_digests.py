from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.data.row_digests import in_canonical_order, rows_digest, table_digest

ROW = st.tuples(
    st.one_of(st.none(), st.text(max_size=3)),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.booleans()),
)


def table_of(rows: list) -> pa.Table:
    texts, integers, floats, truths = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "id": pa.array(range(len(rows)), pa.int64()),
            "s": pa.array(texts, pa.string()),
            "i": pa.array(integers, pa.int64()),
            "f": pa.array(floats, pa.float64()),
            "b": pa.array(truths, pa.bool_()),
            "t": pa.array(integers, pa.int64()).cast(pa.timestamp("us", "UTC")),
        }
    )


@given(st.lists(ROW, max_size=8), st.randoms(), st.integers(0, 8))
def test_identity_ignores_order_chunks_encoding_and_column_order(rows, random, cut) -> None:
    table = in_canonical_order(table_of(rows), ["id"])
    order = random.sample(range(len(rows)), len(rows))
    names = random.sample(table.column_names, len(table.column_names))
    other = table.take(pa.array(order, pa.int64())).select(names)
    other = pa.concat_tables([other.slice(0, cut), other.slice(cut)])
    other = other.set_column(names.index("s"), "s", other["s"].dictionary_encode())
    assert table_digest(in_canonical_order(other, ["id"])) == table_digest(table)


@given(st.lists(ROW, min_size=1, max_size=5), st.lists(ROW, min_size=1, max_size=5))
def test_other_values_have_another_identity(one, two) -> None:
    same = [tuple(map(repr, row)) for row in one] == [tuple(map(repr, row)) for row in two]
    assert (table_digest(table_of(one)) == table_digest(table_of(two))) == same


@pytest.mark.parametrize(
    "other",
    [
        pa.table({"a": pa.array([0, 1], pa.int32())}),
        pa.table({"b": [0, 1]}),
        pa.table({"a": [None, 1]}),
        pa.table({"a": [0.0, 1.0]}),
        pa.table({"a": [1, 0]}),
        pa.table({"a": [0, 1, 1]}),
    ],
)
def test_name_type_gap_order_and_number_of_rows_all_count(other) -> None:
    assert table_digest(other) != table_digest(pa.table({"a": [0, 1]}))


def test_texts_that_run_together_differ() -> None:
    assert table_digest(pa.table({"a": ["ab", "c"]})) != table_digest(pa.table({"a": ["a", "bc"]}))
    assert table_digest(pa.table({"a": ["", None]})) != table_digest(pa.table({"a": [None, ""]}))


def test_the_digest_of_rows_is_that_of_their_ids_in_order() -> None:
    frame = pd.DataFrame({"a": [1, 2], "c": pd.Categorical(["x", "y"]), "z": [0.1, 0.2]})
    assert rows_digest(frame, ["a", "c"]) == rows_digest(frame.assign(c=["x", "y"], z=9.0), ["a", "c"])
    assert rows_digest(frame, ["a", "c"]) != rows_digest(frame[::-1], ["a", "c"])
