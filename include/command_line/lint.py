"""Lint a model.yaml with the checks that a run makes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from include.config.code import load_function
from include.config.load import load_model
from include.config.model import BASELINES, ModelConfig
from include.config.sections.rows.sources import PythonSource
from include.data.frames import read_rows
from include.data.ingestion.ingest import ingest
from include.data.quality.check import check
from include.data.quality.validation import build
from include.data.rare_levels import RareLevels
from include.data.snapshots import Snapshot
from include.evaluation.holdout_rows import holdout_columns
from include.evaluation.metrics.slices import slice_levels
from include.storage.local import LocalStore
from include.training.declared_recipes import recipe_of
from include.training.metrics.costs import cost_matrix
from include.training.model_selection.search import check_search
from include.training.preprocessing.target import check_classes, count_classes
from include.training.recipe import Recipe
from include.training.training_rows import training_rows


def lint(path: Path, *, now: datetime, as_of: datetime | None = None, with_rows: bool = True) -> str:
    """Check a model.yaml, the functions that it names, and its rows, up to where a run would begin to fit.

    The rows are brought in, checked and read by the code of a run, into a store that is thrown away. Those behind an Airflow
    connection are not read: outside of a task nothing opens it.

    Parameters
    ----------
    now : datetime
        The instant of asking.
    as_of : datetime, optional
        The instant to stand at; that at which the trigger form opens if left out.
    with_rows : bool
        Read the source.

    Raises
    ------
    RatchetError
        With what a run would say.
    """
    model, folder = load_model(path), path.parent
    cost = model.evaluation.cost
    named = [model.features.derive, cost.function if cost else None]
    named += [data.source.reader for data in model.data.sources if isinstance(data.source, PythonSource)]
    for name in filter(None, named):
        load_function(folder, name)
    recipes = [recipe_of(model, name) for name in (*model.candidate_names, *BASELINES)]
    for recipe in recipes:
        if recipe.search is not None:
            check_search(recipe.search, recipe.space)
    build(model.quality.expectations, f"{model.declared_name}/model.yaml")
    said = [f"{path}: {model.declared_name} can be used. Candidates: {', '.join(model.candidate_names)}."]
    if not with_rows:
        said.append("Its rows were not read.")
    elif any(data.source.remote for data in model.data.sources):
        said.append("Its rows were not read: they are behind an Airflow connection.")
    else:
        said.append(_rows(model, folder, recipes, as_of or min(model.schedule.end or now, now), now))
    return "\n".join([" ".join(said), *_cannot_be_told(model)])


def _cannot_be_told(model: ModelConfig) -> Iterator[str]:
    """Say which channels can't be reached with what is installed here; a run would only log that."""
    for channel in dict.fromkeys(model.notify):
        try:
            version(channel.provider)
        except PackageNotFoundError:
            yield (
                f"notify: `via: {channel.via}` needs {channel.provider}, which is not installed here. "
                f"Where Airflow runs: pip install {channel.provider}"
            )


def _rows(model: ModelConfig, folder: Path, recipes: list[Recipe], as_of: datetime, now: datetime) -> str:
    with tempfile.TemporaryDirectory(prefix="ratchet-lint-") as scratch:
        store = LocalStore(Path(scratch))
        snapshot = ingest(store, model, folder, as_of=as_of, at=now, connections=_Closed())
        report = check(store, model, folder, snapshot)
        snapshot = Snapshot.load(store, model.name, report.snapshot)
        columns = dict.fromkeys(column for recipe in recipes for column in recipe.columns)
        train = read_rows(store, snapshot, model, folder, window="train", columns=list(columns))
        if model.task == "classification" and model.data.target is not None:
            check_classes(count_classes(train[model.data.target]), model.data.positive, model.data.target)
        learned = [training_rows(train[list(recipe.columns)], recipe, folder) for recipe in recipes]
        holdout = read_rows(store, snapshot, model, folder, window="holdout", columns=holdout_columns(model))
        slice_levels(holdout, model.evaluation.slices, RareLevels.of(model.data, holdout))
    classes = learned[0].classes
    if (cost := model.evaluation.cost) is not None and cost.matrix is not None:
        cost_matrix(cost.matrix, classes)
    positive = f"; `{classes[1]}` is the positive one" if classes is not None and len(classes) == 2 else ""
    of = "" if classes is None else f" of {len(classes)} classes ({', '.join(map(str, classes[:10]))}{positive})"
    when = "" if model.data.timeless else f"As of {as_of:%Y-%m-%d %H:%M} UTC: "
    return f"{when}{len(train):,} rows{of} to learn from, {len(holdout):,} to judge by."


class _Closed:
    """Connections where there are none."""

    def s3(self, connection: str | None) -> Any:
        raise NotImplementedError(connection)

    def sql(self, connection: str) -> Any:
        raise NotImplementedError(connection)

    def spark(self, connection: str) -> str:
        raise NotImplementedError(connection)
