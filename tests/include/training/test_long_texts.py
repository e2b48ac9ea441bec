"""Rows that are asked about may hold a text of any length: it takes its own room, and not that much for every other text."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.config.sections.features import Features
from include.evaluation.scored_rows import SliceLevels
from include.leakage.single_column import skill_of
from include.training.fairness.group_thresholds import group_names
from include.training.input_domain import fit_input_domain
from include.training.preprocessing.category_encoder import CategoryEncoder
from include.training.preprocessing.category_interactions import CategoryInteraction
from include.training.training_rows import TrainingRows

LONG = "x" * 500_000
FEW = pd.DataFrame({"c": [f"level {number}" for number in range(200)], "d": "same"})
ROWS = pd.concat([FEW, pd.DataFrame({"c": [LONG], "d": "same"})], ignore_index=True)
DOMAIN = fit_input_domain(Features.model_validate({"categorical": {"columns": ["c", "d"]}}), FEW)
TARGET = TrainingRows(ROWS, np.arange(len(ROWS)) % 2, (False, True))

READERS: dict[str, Callable[[], Any]] = {
    "encoder": lambda: CategoryEncoder(encode="ordinal").fit(FEW[["c"]]).transform(ROWS[["c"]])[:, 0].tolist()[-2:],
    "interaction": lambda: CategoryInteraction().fit(FEW).transform(ROWS).iloc[-1, 0] == f"{len(LONG)}:{LONG}|4:same",
    "domain": lambda: DOMAIN.outside(ROWS)["c"].tolist() == [False] * len(FEW) + [True],
    "groups": lambda: group_names(ROWS["c"])[-1] == LONG,
    "slices": lambda: len(SliceLevels.of(ROWS["c"]).names),
    "leakage": lambda: skill_of(ROWS["c"], TARGET, 0),
}
EXPECTED = {
    "encoder": [FEW["c"].sort_values().tolist().index("level 199"), -1],
    "interaction": True,
    "domain": True,
    "groups": True,
    "slices": len(ROWS),
}


@pytest.mark.parametrize("reader", READERS)
def test_one_long_text_does_not_take_its_room_for_every_level(reader: str) -> None:
    tracemalloc.start()
    try:
        found = READERS[reader]()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * len(LONG), "of every level it would be 800 times"
    assert found == EXPECTED.get(reader, found)


def test_a_text_longer_than_every_level_is_none_of_them_whatever_it_begins_with() -> None:
    encoder = CategoryEncoder(encode="ordinal").fit(pd.DataFrame({"c": ["ab", "?", "???"]}))
    asked = pd.DataFrame({"c": ["ab", "abc", "abcd", "????", "???", "?"]})
    assert encoder.transform(asked)[:, 0].tolist() == [2, -1, -1, -1, 1, 0]
