"""A drafted declaration is a valid one that runs as it stands, and says what it took the columns for."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chain_run import run_chain

from include.command_line.lint import lint
from include.config.load import load_model, load_models
from include.drafting.draft import draft
from include.drafting.draft_summary import Draft
from include.errors import ConfigError, RatchetError, SourceError
from include.registry.ledger import Ledger
from include.storage.local import LocalStore

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = ["number,at,shop,weight of it,note,left"] + [
    f"{i:03d},2025-01-{1 + i % 28:02d}T10:00:00Z,{['a', 'b'][i % 2]},{i * 0.5},note {i},{i % 3 == 0}"
    for i in range(250)
]


@pytest.fixture
def drafted(tmp_path: Path):
    def drafted(rows: list[str] | pd.DataFrame | bytes, target: str = "left", *args: Any, **settings: Any) -> Draft:
        path = tmp_path / settings.pop("file", "rows.csv")
        if isinstance(rows, pd.DataFrame):
            rows.to_csv(path, index=False)
        else:
            path.write_bytes(rows if isinstance(rows, bytes) else "\n".join(rows).encode())
        return draft(tmp_path / "models", settings.pop("name", "shop"), path, target, *args, now=NOW, **settings)

    return drafted


def test_columns_are_taken_for_numbers_levels_ids_or_left_out(drafted, tmp_path) -> None:
    made = drafted(ROWS, "left", "at")
    assert (made.task, made.row_id) == ("classification", ("number",))
    assert (made.numeric, made.categorical) == (("weight of it",), ("shop",))
    assert made.left_out == {"number": "it names the row", "note": "more than 200 different texts"}
    model = load_model(made.path)
    assert model.data.event_time == "at" and model.data.windows is not None
    assert (made.path.parent / "rows.csv").read_bytes() == (tmp_path / "rows.csv").read_bytes()
    assert "classes, by rows: False 166, True 84" in "\n".join(made.lines())


@pytest.mark.parametrize(
    ("name", "feature"),
    [
        *((name, False) for name in ("customer_id", "customerId", "ID", "Kundennummer", "Kundennr", "user_key")),
        *((name, True) for name in ("humid", "monkey", "rooms", "number")),
    ],
)
def test_what_rows_are_about_is_no_quantity(drafted, name, feature) -> None:
    table = pd.DataFrame(
        {name: [n * 7 % 101 for n in range(400)], "x": [n % 13 / 7 for n in range(400)], "left": ["yes", "no"] * 200}
    )
    made = drafted(table)
    assert (name in made.numeric) == feature
    assert ("data.entity" in made.left_out.get(name, "")) != feature
    few = drafted(table.assign(**{name: table[name] % 20}), name="few")
    assert name in few.numeric, "a few codes may be learned from"


def test_a_number_makes_a_regression_of_a_table_without_time(drafted) -> None:
    made = drafted(ROWS, "weight of it")
    model = load_model(made.path)
    assert (model.task, model.gate.primary.metric, model.data.timeless) == ("regression", "rmse", True)
    assert "left" in made.numeric and "at" in made.left_out
    assert "a table without time; if rows happen in time, remove the folder and say --event-time at" in "\n".join(
        made.lines()
    )


BAD = {
    "a column that is not there": (ROWS, "lefft", {}, "did you mean `left`"),
    "a name that no model can have": (ROWS, "left", {"name": "Shop-1"}, "can't be the name of a model"),
    "a name that leaves the folder": (ROWS, "left", {"name": "../shop"}, "can't be the name of a model"),
    "an event time that is none": (ROWS, "left", {"event_time": "note"}, "can't be read as times"),
    "an event time with gaps": (["at,x,left", ",1,a", *["2025-01-01,2,b"] * 30], "left", {"event_time": "at"}, "no value of `at`"),
    "an event time beyond all calendars": (["at,x,left", *["9999-01-01,2,b"] * 30], "left", {"event_time": "at"}, "1900 to 2200"),
    "rows of one instant": (["at,x,left", *(f"2025-01-01,{n * 3},{'ab'[n % 2]}" for n in range(40))], "left", {"event_time": "at"}, "too close"),
    "few rows": (["at,x,left", "2025-01-01,1,a", "2025-02-01,1,b"], "left", {"event_time": "at"}, "too few rows"),
    "equal rows": (["at,x,left", *["2025-01-01,1,a", "2025-02-01,2,b"] * 20], "left", {"event_time": "at"}, "nothing tells them apart"),
    "a target of one value": (["x,left", "1,a", "2,a"], "left", {}, "has one value"),
    "a target without a value": (["x,left", "1,", "2,"], "left", {}, "has no value"),
    "a target that is prose": (["x,left", *(f"{n},text {n}" for n in range(150))], "left", {}, "too many different texts"),
    "a target that is a time": (ROWS, "at", {}, "is a time"),
    "nothing to learn from": (["left", "a", "b"], "left", {}, "no column to learn from"),
    "a short row": ([*ROWS, "999,x"], "left", {}, "as many fields"),
    "no rows": (["x,left"], "left", {}, "has no value"),
    "an empty file": ([], "left", {}, "names no columns"),
    "a quote that is never closed": ([*ROWS, '1,2,"x,4,5,6'], "left", {}, "not closed"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "target", "settings", "message"), BAD.values(), ids=BAD.keys())
def test_what_can_not_be_drafted_is_answered_and_leaves_nothing_behind(
    drafted, tmp_path, rows, target, settings, message
) -> None:
    with pytest.raises((ConfigError, SourceError), match=message):
        drafted(rows, target, **settings)
    assert not list((tmp_path / "models").glob("*")) and not (tmp_path / "shop").exists()


def test_a_model_that_exists_is_not_written_over(drafted, tmp_path) -> None:
    made = drafted(ROWS)
    before = made.path.read_bytes()
    with pytest.raises(ConfigError, match="of this name exists already"):
        drafted(ROWS, "shop")
    assert made.path.read_bytes() == before
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["shop"]


@pytest.mark.parametrize("file", ["[x] *.csv", "50%Y.csv", "_old.csv", ".csv"])
def test_the_copy_has_a_name_that_is_no_pattern(drafted, file) -> None:
    made = drafted(ROWS, file=file)
    assert "can be used" in lint(made.path, now=NOW)


def test_all_values_of_a_file_decide_on_its_types(drafted) -> None:
    rows = ["x,y,left", *(f"{n},{n},{'ab'[n % 2]}" for n in range(3000)), "0.5,,a", "1,NA,b"]
    columns = load_model(drafted(rows).path).data.source.columns
    assert columns["x"].type == "float"
    assert (columns["y"].type, columns["y"].missing) == ("integer", ("", "NA"))


@pytest.mark.parametrize("name", ["null", "1", "a: b", "é", "😀", "x\u2028y", "- x", "#", "'", "*a", "{{ x }}"])
def test_columns_of_any_name_are_drafted(drafted, name) -> None:
    rows = pd.DataFrame({name: range(60), "b": [0.5, 2.0] * 30, "left": ["a", "b", "b"] * 20})
    made = drafted(rows)
    assert name in (*made.numeric, *made.row_id)


def test_a_header_without_a_name_is_left_alone(drafted) -> None:
    frame = pd.DataFrame({"b": [0.5, 2.0] * 30, "left": ["a", "b", "b"] * 20})
    made = drafted(("\n".join([",b,left", *(f"{n},{b},{c}" for n, b, c in frame.itertuples())])).encode())
    assert made.numeric == ("b",) and "(no name)" in made.left_out


def test_a_day_or_month_that_may_come_first_is_asked_and_not_guessed(drafted) -> None:
    rows = ["day,x,left"] + [
        f"{1 + n % 12:02d}/{1 + n % 11:02d}/{2020 + n % 5},{n % 50},{'ab'[n % 2]}" for n in range(200)
    ]
    with pytest.raises(ConfigError, match=r"(?s)the day or the month.*--day-first"):
        drafted(rows, "left", "day")
    made = drafted(rows, "left", "day", day_first=False)
    assert '{type: timestamp, format: "%m/%d/%Y"}' in made.path.read_text()


def test_more_texts_than_a_handful_are_classes_and_no_number(drafted) -> None:
    rows = ["x,left", *(f"{n % 70},class {n % 30}" for n in range(900))]
    made = drafted(rows)
    assert made.task == "classification" and len(made.classes) == 30


@pytest.mark.parametrize(
    ("rarest", "cv"), [(4, "cv: {kind: stratified, folds: 2}"), (2, "cv: {kind: k_fold, folds: 5}"), (40, None)]
)
def test_a_rare_class_is_named_and_has_no_more_folds_than_rows(drafted, rarest, cv) -> None:
    classes = ["a", "b"] * 100 + ["c"] * rarest
    made = drafted(["x,left", *(f"{n % 7},{c}" for n, c in enumerate(classes))])
    text = made.path.read_text()
    assert cv in text if cv else "cv:" not in text
    assert ("nothing can be learned about c" in "\n".join(made.lines())) == (rarest < 10)


def daily(days: int = 731) -> pd.DataFrame:
    """Return the weather of two years, a row a day: five classes, of which some months lack some."""
    rng = np.random.default_rng(1)
    day = pd.date_range("2011-01-01", periods=days)
    warm = 12 + 10 * np.cos(2 * np.pi * (day.day_of_year - 200) / 365) + rng.normal(0, 3, days)
    damp = rng.uniform(20, 100, days)
    wet = damp / 20 - warm / 15 + rng.normal(0, 0.7, days)
    kinds = np.select(
        [(warm < 2) & (damp > 50), wet > 3.3, wet > 2.5, wet > 1.2], ["snow", "rain", "drizzle", "fog"], "sun"
    )
    return pd.DataFrame({"date": day.strftime("%Y-%m-%d"), "warm": warm.round(1), "damp": damp.round(), "kind": kinds})


def test_a_daily_table_of_many_classes_has_a_champion_at_the_first_trigger(drafted, tmp_path) -> None:
    made = drafted(daily(), "kind", "date")
    model = load_model(made.path)
    assert made.row_id == ("date",) and "a row is named by `date`" in "\n".join(made.lines())
    assert model.data.source.columns["date"].type == "timestamp"
    assert model.gate.primary.metric == "log_loss"  # defined wherever a class has no row
    assert model.schedule.end == datetime(2012, 12, 31, tzinfo=UTC)  # where the form opens
    assert "547 rows of 5 classes" in lint(made.path, now=NOW)
    store = LocalStore(tmp_path / "store")
    run_chain(store, model, made.path.parent, model.schedule.end)
    assert Ledger(store, "shop").timeline().champion is not None


@pytest.mark.parametrize(
    ("days", "rows", "partition", "train", "holdout", "start", "end"),
    [
        (731, 731, "month", "18mo", "6mo", "2012-12-30", "2012-12-31"),
        (365, 120_000, "month", "1y", "1mo", "2025-12-31", "2025-12-31"),
        (365, 900_000, "month", "2mo", "1mo", "2025-03-28", "2025-12-31"),
        (30, 3000, "day", "1mo", "2w", "2025-01-31", "2025-01-31"),
        (1, 2400, "hour", "1d", "6h", "2025-01-02", "2025-01-02"),
    ],
)  # fmt: skip
def test_windows_hold_what_judges_and_what_teaches(days, rows, partition, train, holdout, start, end) -> None:
    from include.drafting.periods import periods_of

    first = pd.Timestamp(end, tz=UTC) - pd.Timedelta(days=days)
    times = np.linspace(first.value // 1000, pd.Timestamp(end, tz=UTC).value // 1000 - 1, rows).astype(np.int64)
    found = periods_of(times, NOW)
    assert (found.partition, str(found.train), str(found.holdout)) == (partition, train, holdout)
    assert (f"{found.start:%Y-%m-%d}", f"{found.end:%Y-%m-%d}") == (start, end)
    assert found.train_rows + found.holdout_rows <= rows and found.holdout_rows >= min(rows // 4, 5000)


def test_rows_of_the_future_have_no_part_in_the_first_run(drafted) -> None:
    frame = daily().assign(date=pd.date_range("2025-01-01", periods=731).strftime("%Y-%m-%d"))
    made = drafted(frame, "kind", "date")
    assert load_model(made.path).schedule.end == NOW
    assert "can be used" in lint(made.path, now=NOW)


def test_a_half_made_folder_is_no_model(drafted, tmp_path, monkeypatch) -> None:
    import include.drafting.draft as module

    def die(path: Path) -> None:
        assert load_models(tmp_path / "models") == ([], [])
        raise RatchetError("killed here")

    monkeypatch.setattr(module, "load_model", die)
    with pytest.raises(RatchetError, match="killed here"):
        drafted(ROWS)
    assert not list((tmp_path / "models").iterdir())
