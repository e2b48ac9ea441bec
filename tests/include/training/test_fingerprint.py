from __future__ import annotations

import numpy as np
import pandas as pd

from include.training.fingerprint import ROWS, fingerprint

FRAME = pd.DataFrame(
    {
        "size": np.random.default_rng(0).normal(size=ROWS + 10),
        "colour": pd.Categorical(["red", None] * (ROWS // 2 + 5)),
        "count": pd.array([1, None] * (ROWS // 2 + 5), dtype="Int64"),
        "flag": [True, False] * (ROWS // 2 + 5),
    }
)
COLUMNS = list(FRAME)


def changed(frame: pd.DataFrame) -> set[str]:
    now, before = fingerprint(frame, COLUMNS), fingerprint(FRAME, COLUMNS)
    return {column for column in COLUMNS if now[column] != before[column]}


def test_another_value_changes_the_digest_of_its_column_only() -> None:
    assert changed(FRAME.assign(size=FRAME["size"].where(FRAME.index != 3, 0.5))) == {"size"}
    assert changed(FRAME.assign(colour=FRAME["colour"].cat.rename_categories({"red": "blue"}))) == {"colour"}


def test_the_last_bits_of_a_number_do_not() -> None:
    assert changed(FRAME.assign(size=FRAME["size"] * (1 + 2e-16))) == set()


def test_rows_beyond_the_first_do_not() -> None:
    assert changed(FRAME.head(ROWS)) == set()


def test_levels_that_no_row_has_do_not() -> None:
    assert changed(FRAME.assign(colour=FRAME["colour"].cat.add_categories(["grey"]))) == set()
