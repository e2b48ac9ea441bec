"""A drafted declaration is a valid one, and says what it took the columns for."""

from __future__ import annotations

from pathlib import Path

import pytest

from include.command_line.draft import draft
from include.config.load import load_model
from include.errors import ConfigError

ROWS = ["number,at,shop,weight of it,note,left"] + [
    f"{i:03d},2025-01-{1 + i % 28:02d}T10:00:00Z,{['a', 'b'][i % 2]},{i * 0.5},note {i},{i % 3 == 0}"
    for i in range(250)
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(ROWS))
    return path


def test_columns_are_taken_for_numbers_levels_ids_or_left_out(file: Path, tmp_path: Path) -> None:
    made = draft(tmp_path / "models", "shop", file, "left", "at")
    assert (made.task, made.row_id) == ("classification", "number")
    assert (made.numeric, made.categorical, made.left_out) == (("weight of it",), ("shop",), ("note",))
    model = load_model(made.path)
    assert model.data.event_time == "at" and model.data.windows is not None
    assert (made.path.parent / "rows.csv").read_text() == file.read_text()


def test_a_number_makes_a_regression_of_a_table_without_time(file: Path, tmp_path: Path) -> None:
    made = draft(tmp_path / "models", "shop", file, "weight of it")
    model = load_model(made.path)
    assert (model.task, model.gate.primary.metric, model.data.timeless) == ("regression", "rmse", True)
    assert "left" in made.numeric and "at" in made.left_out


def test_a_column_that_is_not_there_is_answered_with_the_nearest(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean `left`"):
        draft(tmp_path / "models", "shop", file, "lefft")
    assert not (tmp_path / "models").exists()


def test_a_model_that_exists_is_not_written_over(file: Path, tmp_path: Path) -> None:
    draft(tmp_path / "models", "shop", file, "left")
    with pytest.raises(ConfigError, match="such a model already"):
        draft(tmp_path / "models", "shop", file, "left")
