"""Training rows that stay in their partitions and are read by the workers of a Dask cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from include.config.model import ModelConfig
from include.data.frames import read_rows
from include.data.snapshots import Pinned, Snapshot
from include.data.stored_partitions import SLOT
from include.errors import TrainingError
from include.storage.store import ObjectStore
from include.training.metrics.costs import row_costs
from include.training.out_of_core.workers import RowSource, Workers, open_workers, read_part, together
from include.training.preprocessing.target import as_numbers, check_classes, count_classes, find_classes
from include.training.provenance import keep_code
from include.training.recipe import Recipe
from include.training.training_rows import TrainingRows, check_kinds, check_values

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class PartedRows(TrainingRows):
    """Rows of a window whose ``frame`` has none of the features: they are in partitions, which workers read.

    Parameters
    ----------
    places : array of int of shape (n_rows,)
        Which rows of the window they are, ascending.
    parts : sequence of Pinned
        The window's partitions with rows.
    starts : array of int
        The place of each partition's first row, and the number of all rows.
    columns : tuple of str
        The features' columns.
    """

    workers: Workers = field(kw_only=True)
    recipe: Recipe = field(kw_only=True)
    places: Array = field(kw_only=True)
    parts: Sequence[Pinned] = field(kw_only=True)
    starts: Array = field(kw_only=True)

    def at(self, positions: Array) -> PartedRows:
        """Return some of the rows, in their order."""
        return replace(cast(PartedRows, super().at(positions)), places=self.places[positions])

    def divided(self) -> Iterator[tuple[Pinned, int, Array, slice]]:
        """Yield each partition with rows: how many rows it has in the window, places of ours in it, and which of ours they are."""
        cuts = np.searchsorted(self.places, self.starts)
        for number, pinned in enumerate(self.parts):
            own = slice(int(cuts[number]), int(cuts[number + 1]))
            if own.start < own.stop:
                rows = int(self.starts[number + 1] - self.starts[number])
                yield pinned, rows, self.places[own] - self.starts[number], own

    def ask(self, function: Callable[..., Any], *shared: Any, each: Sequence[Array] = ()) -> Iterator[Any]:
        """Yield what ``function(frame, *arrays, *shared)`` gives for the features of each partition's rows, in their order.

        Parameters
        ----------
        function : callable
            Of a module that workers can import.
        each : sequence of arrays of shape (n_rows, ...)
            Of which it is given its own rows' part.
        """
        columns = list(self.recipe.inputs)
        tasks = [
            (function, pinned, columns, rows, places, tuple(array[own] for array in each))
            for pinned, rows, places, own in self.divided()
        ]
        yield from self.workers.map(_of_part, tasks, *shared)

    def answers(self, ask: Callable[[pd.DataFrame], Array]) -> Array:
        """Return an array of one item a row, put together from what ``ask`` gives for each partition's rows."""
        return np.concatenate(list(self.ask(ask)))

    def fetched(self) -> TrainingRows:
        """Return the same rows in memory, with their features: for samples."""
        frame = together(list(self.ask(_itself_frame)))
        kept = self.frame.drop(columns=[name for name in frame if name in self.frame]).reset_index(drop=True)
        whole = pd.concat([frame, kept], axis=1)
        frame = whole[[name for name in self.recipe.columns if name in whole]]
        return TrainingRows(frame, self.target, self.classes, self.costs)


def _itself_frame(frame: pd.DataFrame) -> pd.DataFrame:
    return frame


def _of_part(
    source: RowSource,
    function: Callable[..., Any],
    pinned: Pinned,
    columns: list[str],
    rows: int,
    places: Array,
    own: tuple[Array, ...],
    *shared: Any,
) -> Any:
    with threadpool_limits(1):
        return function(read_part(source, pinned, columns, rows, places), *own, *shared)


@contextmanager
def open_parted_rows(
    store: ObjectStore,
    model: ModelConfig,
    folder: Path,
    snapshot: Snapshot,
    recipe: Recipe,
    address: str | None = None,
) -> Iterator[PartedRows]:
    """Yield the rows of the training window as workers of a cluster read them, connected as long as the context.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.
    snapshot : Snapshot
    recipe : Recipe
        Names the columns and the target.
    address : str, optional
        Of the Dask scheduler; that of ``RATCHET_DASK`` if left out.

    Raises
    ------
    ConfigError, ClusterUnavailable
        When there is no cluster.
    TrainingError
        When a column is not of its group's kind, or what weighs or groups rows is none of the source.
    """
    own = [recipe.target] if recipe.target is not None else []
    narrow = list(dict.fromkeys([*own, recipe.event_time, *recipe.row_id, *recipe.beside]))
    if made := [name for name in narrow if name not in snapshot.schema]:
        raise TrainingError(
            f"`{made[0]}` is a derived column, which `training.engine: dask` can't weigh or group rows by",
            expected="a column of the source",
            where=f"model {model.name}",
            remedy="let the source give it, or remove `training.engine`",
        )
    frame = read_rows(store, snapshot, model, folder, window="train", columns=narrow, positions=True)
    counts = frame.pop(SLOT).value_counts()
    frame = frame[narrow]
    target, classes = np.zeros(len(frame)), None
    if recipe.target is not None:
        if recipe.task == "classification":
            check_classes(count_classes(frame[recipe.target]), recipe.positive, recipe.target)
            classes = find_classes(frame[recipe.target], recipe.positive)
        target = as_numbers(frame[recipe.target], classes)
        if classes is None:
            check_values(target, recipe)
    parts = [pinned for pinned in snapshot.partitions if counts.get(pinned.slot, 0)]
    starts = np.concatenate([[0], np.cumsum([counts[pinned.slot] for pinned in parts])]).astype(np.int64)
    costs = None if recipe.cost is None else row_costs(recipe.cost, folder, frame, target, classes)
    source = RowSource(store.url, snapshot, model, keep_code(store, model.name, recipe.code(folder)), folder)
    with open_workers(source, address) as workers:
        places = np.arange(len(frame))
        rows = PartedRows(
            frame, target, classes, costs, workers=workers, recipe=recipe, places=places, parts=parts, starts=starts
        )
        log.info("%s: %s rows in %d partitions, read by workers", recipe.name, f"{len(rows):,}", len(parts))
        for _ in rows.ask(partial(_kinds, recipe)):
            pass
        yield rows


def _kinds(recipe: Recipe, frame: pd.DataFrame) -> None:
    check_kinds(recipe.features, frame)
