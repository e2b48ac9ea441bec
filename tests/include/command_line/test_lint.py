"""`lint` says beforehand what a run would say, and keeps nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from chain_run import declare, month, parcels

from include.command_line import lint as module
from include.command_line.lint import lint
from include.errors import RatchetError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lint") / "parcels"
    declare(folder, parcels(rows=600))
    return folder / "model.yaml"


@pytest.fixture
def change(path: Path):
    """Replace texts of the declaration, for one test."""
    text = path.read_text()

    def change(*replaced: tuple[str, str]) -> None:
        made = text
        for before, after in replaced:
            assert before in made
            made = made.replace(before, after)
        path.write_text(made)

    yield change
    path.write_text(text)


def test_rows_to_learn_from_and_to_judge_by_are_counted(path: Path) -> None:
    said = lint(path, now=NOW)
    assert "parcels can be used. Candidates: logistic_regression, decision_tree. As of 2025-01-01 00:00 UTC:" in said
    assert "rows of 2 classes (False, True; `True` is the positive one) to learn from" in said
    assert sorted(entry.name for entry in path.parent.iterdir() if "cache" not in entry.name) == [
        "features.py", "model.yaml", "rows.parquet", "source.py",
    ]  # fmt: skip


TREE = "{estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}}"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("target: late", "target: latte", "no column `latte`"),
        ("columns: [weight,", "columns: [wieght,", r"(?s)no column `wieght`.*did you mean `weight`"),
        ("columns: [weight, distance, evening]", "columns: [weight, sent_at]", "`sent_at` is not a number"),
        ("slices: [carrier]", "slices: [carrier, carier]", r"(?s)no column `carier`.*did you mean `carrier`"),
        ("row_id: parcel", "row_id: parcels", "no column `parcels`"),
        ("row_id: parcel", "row_id: carrier", "have the same id"),
        (TREE, "{estimator: decision_tree, params: {max_dept: 4}}", r"(?s)no setting `max_dept`.*did you mean `max_depth`"),
        (TREE, "{estimator: decision_tree, params: {max_depth: deep}}", r"(?s)this value of `max_depth`.*'deep'"),
        (TREE, "{estimator: decision_tree, search: {method: grid, space: {criterion: [gini, ginni]}}}", "`criterion`"),
        (TREE, "{estimator: decision_tree, search: {method: grid, trials: 2, space: {max_depth: [1, 2, 3]}}}", "grid is larger"),
        (TREE, "{estimator: sklearn.linear_model.Perceptron}", r"(?s)not among the types.*RATCHET_PERMITTED_TYPES="),
        (TREE, "{estimator: sklearn.linear_model.Percepton}", "no class `sklearn.linear_model.Percepton`"),
        ("min_value: 0,", "min_valeu: 0,", r"(?s)refuses the arguments.*did you mean `min_value`"),
        ("{column: weight, min", "{column: wieght, min", r"(?s)do not have.*did you mean `weight`"),
        ("value_set: [ant, bee, cat]", "value_set: [ant, bee]", "expect_column_values_to_be_in_set"),
        ("value_set: [ant, bee, cat]", "value_set: [ant, bee, true]", r"(?s)column of texts.*found: True.*in quotes"),
        ("expect_column_values_to_be_between: {column: weight, min_value: 0,", "expect_column_values_to_be_between: {column: weight, min_value: 2024-01-01,", "column of numbers"),
        ("evaluation: {metrics: [", "evaluation: {cost: {matrix: {'True': {'no': 5}}}, metrics: [cost, ", r"(?s)class that the model does not know.*False or True.*found: no"),
        ("features:derive", "features:derives", "derive"),
        ("guards: [", "aproval: always\n  guards: [", "did you mean `approval`"),
        ("end: 2025-01-01", "end: 2024-12-31", None),
    ],
)  # fmt: skip
def test_what_a_run_would_say_is_said(path: Path, change, before: str, after: str, message: str | None) -> None:
    change((before, after))
    if message is None:
        assert "As of 2024-12-31" in lint(path, now=NOW)
        return
    with pytest.raises(RatchetError, match=message):
        lint(path, now=NOW)


def test_an_as_of_without_rows_is_found_before_the_first_trigger(path: Path, change) -> None:
    change((", end: 2025-01-01", ""))  # the form then opens at now, a year after the rows
    with pytest.raises(RatchetError, match="no row for the train window"):
        lint(path, now=NOW)
    assert "can be used" in lint(path, now=NOW, as_of=month(10))
    assert lint(path, now=NOW, with_rows=False).endswith("Its rows were not read.")


BOUNDED = "query: 'SELECT * FROM t WHERE sent_at >= :start AND sent_at < :end'"


@pytest.mark.parametrize(
    "source",
    [
        f"{{kind: sql, connection: shop, {BOUNDED}}}",
        f"{{kind: spark, connection: spark, {BOUNDED}}}",
        "{kind: iceberg, catalog: lake, table: sales.t}",
        "{kind: delta, path: s3://lake/t}",
        f"{{kind: duckdb, {BOUNDED}, tables: {{t: {{path: s3://lake/t, format: parquet}}}}}}",
    ],
)
def test_rows_behind_a_connection_are_not_read_and_that_is_said(path: Path, change, source: str) -> None:
    change(("{kind: python, reader: source:read}", source))
    assert "behind an Airflow connection" in lint(path, now=NOW)


def test_a_query_over_files_of_the_folder_is_run(path: Path, change) -> None:
    source = f"{{kind: duckdb, {BOUNDED}, tables: {{t: {{path: rows.parquet, format: parquet}}}}}}"
    change(("{kind: python, reader: source:read}", source))
    assert "rows of 2 classes (False, True" in lint(path, now=NOW)


def test_a_channel_whose_provider_is_missing_is_named_with_what_to_install(
    path: Path, change, monkeypatch: pytest.MonkeyPatch
) -> None:
    channels = "notify: [{via: slack, connection: team}, {via: webhook, connection: hook}]"
    change(("owner: depot", f"owner: depot\n{channels}"))
    assert "notify" not in lint(path, now=NOW, with_rows=False), "both are installed here"

    def only_webhook(name: str) -> str:
        if name == "apache-airflow-providers-http":
            return "1"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "version", only_webhook)
    (_, told) = lint(path, now=NOW, with_rows=False).splitlines()
    assert told.startswith("notify: `via: slack` needs apache-airflow-providers-slack, which is not installed here.")
    assert told.endswith("pip install apache-airflow-providers-slack")
