"""Tasks for the workers of a Dask cluster, and what they need to read rows."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.types import is_float_dtype, is_integer_dtype

from include.config.model import ModelConfig
from include.config.settings import Settings
from include.data.columns.pandas_frames import whole_numbers
from include.data.frames import read_rows
from include.data.snapshots import Pinned, Snapshot
from include.data.windows import WindowName
from include.errors import ClusterUnavailable, ConfigError, DataError
from include.storage.content import digest_json
from include.storage.opening import open_store
from include.training.model_selection.dask_cluster import open_cluster
from include.training.provenance import code_on_record

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class RowSource:
    """Where a worker finds rows: the store by its address, with credentials of the worker's own.

    Parameters
    ----------
    store : str
        Address of the store.
    code : str
        Digest of the code behind ``features.derive``, which the store keeps.
    folder : pathlib.Path
        The model's folder, whose code is used on workers that have it.
    """

    store: str
    snapshot: Snapshot
    model: ModelConfig
    code: str
    folder: Path
    window: WindowName = "train"
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Of the folder in which a worker keeps what it has read and derived."""

    def read(self, pinned: Pinned, columns: Sequence[str]) -> pd.DataFrame:
        """Return columns of the window's rows in one partition."""
        derive = self.model.features.derive
        folder = self.folder if derive is None else _code(self.store, self.model.name, self.code, derive, self.folder)
        return read_rows(
            open_store(self.store),
            self.snapshot,
            self.model,
            folder,
            window=self.window,
            columns=list(columns),
            among=[pinned],
        )

    def kept(self, pinned: Pinned, columns: Sequence[str]) -> pd.DataFrame:
        """Return the same on a worker, which reads and derives a partition once and keeps the columns on its own disk."""
        from distributed import get_worker

        path = _kept_in(self.name, get_worker()) / f"{digest_json([pinned.to_json(), list(columns)])}.pickle"
        if path.is_file():
            frame: pd.DataFrame = pd.read_pickle(path)  # noqa: S301 (written by this process)
            return frame
        frame = self.read(pinned, columns)
        path.parent.mkdir(exist_ok=True)
        whole = path.with_suffix(f".{uuid.uuid4().hex}")
        frame.to_pickle(whole)
        whole.replace(path)
        return frame


@lru_cache(maxsize=8)
def _code(store: str, model: str, digest: str, derive: str, folder: Path) -> Path:
    """Return a folder with the code, restored once a process where the model's own is not there."""
    with ExitStack() as stack:
        found = stack.enter_context(code_on_record(open_store(store), model, digest, (derive,), folder))
        if found != folder:
            _KEPT.append(stack.pop_all())
        return found


_KEPT: list[ExitStack] = []
"""Until the process ends."""


class Workers:
    """The workers of one cluster, and the source that they read from; a context, at whose end what they kept of it on disk is gone.

    Parameters
    ----------
    client : distributed.Client
    source : RowSource
        Sent as the result of a task, so that a worker that is new, or lost it, is given it again.
    """

    def __init__(self, client: Any, source: RowSource) -> None:
        self.client, self._name = client, source.name
        self.sent = client.submit(_itself, source, pure=False)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *failed: Any) -> None:
        with suppress(Exception):  # a worker's folder goes with the worker
            self.client.run(_forget, self._name, on_error="ignore")

    def map(self, function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], *shared: Any) -> Iterator[Any]:
        """Yield ``function(source, *task, *shared)`` of each task, in their order; a task of a worker that dies goes to another.

        Raises
        ------
        ClusterUnavailable
            When several workers die of a task, or the scheduler is gone.
        """
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        futures = [self.client.submit(function, self.sent, *task, *shared, pure=False) for task in tasks]
        while futures:
            try:
                answer = futures.pop(0).result()
            except (KilledWorker, CancelledError) as error:
                raise ClusterUnavailable(
                    "Workers of the Dask cluster ended while they computed, or the scheduler is gone.",
                    found=type(error).__name__,
                    remedy="look at the workers' logs; of memory they need what one partition takes: smaller `data.partition`",
                ) from error
            yield answer


def _kept_in(name: str, worker: Any) -> Path:
    return Path(worker.local_directory, f"ratchet-{name}")


def _forget(name: str, dask_worker: Any) -> None:
    shutil.rmtree(_kept_in(name, dask_worker), ignore_errors=True)


def _itself(source: RowSource) -> RowSource:
    return source


def together(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return rows of partitions as one frame, of the types that `read_rows` gives them: texts as categories with their levels sorted, integers exact."""
    names = list(frames[0])
    made = {}
    for name in names:
        columns = [frame[name] for frame in frames]
        if all(isinstance(column.dtype, pd.CategoricalDtype) for column in columns):
            levels = sorted(set().union(*(column.cat.categories for column in columns)))
            columns = [column.cat.set_categories(levels) for column in columns]
        made[name] = _integers(columns) if _are_integers(columns) else pd.concat(columns, ignore_index=True)
    return pd.DataFrame(made)


def _are_integers(columns: Sequence[pd.Series[Any]]) -> bool:
    """Tell whether integers have another type in some partitions, for want of values or for large ones."""
    if len({column.dtype for column in columns}) == 1 or not any(is_integer_dtype(one.dtype) for one in columns):
        return False
    others = [column.dropna() for column in columns if not is_integer_dtype(column.dtype)]
    return all(is_float_dtype(one.dtype) and (one == one.round()).all() for one in others)


def _integers(columns: Sequence[pd.Series[Any]]) -> pd.Series[Any]:
    return whole_numbers(pa.chunked_array([pa.array(column.astype("Int64")) for column in columns]))


def read_part(source: RowSource, pinned: Pinned, columns: list[str], rows: int, places: Array) -> pd.DataFrame:
    """Return the features of some rows of a partition, on a worker.

    Parameters
    ----------
    source : RowSource
    pinned : Pinned
        The partition.
    columns : list of str
    rows : int
        How many rows of the window it has, as the driver counted them.
    places : array of int
        Which of them.
    """
    frame = source.kept(pinned, columns)
    if len(frame) != rows:
        raise DataError(
            "A worker reads other rows than its task does.",
            expected=f"{rows:,} rows of partition {pinned.slot}",
            found=f"{len(frame):,}",
            where=f"model {source.model.name}",
            remedy="give workers the store and the release of Ratchet that the task has",
        )
    return frame if len(places) == rows else frame.iloc[places]


@contextmanager
def open_workers(source: RowSource, address: str | None = None) -> Iterator[Workers]:
    """Yield the workers of a cluster, connected as long as the context.

    Parameters
    ----------
    source : RowSource
    address : str, optional
        Of the Dask scheduler; that of ``RATCHET_DASK`` if left out.

    Raises
    ------
    ConfigError, ClusterUnavailable
        When there is none.
    """
    found = address or Settings.from_environment().dask
    if found is None:
        raise ConfigError(
            "`training.engine: dask` needs a Dask cluster.",
            expected="the address of its scheduler, such as tcp://dask-scheduler:8786",
            found="nothing",
            where="environment variable RATCHET_DASK",
            remedy="start a cluster whose workers have this release and reach the store, or remove `training.engine`",
        )
    with open_cluster(found) as cluster, Workers(cluster.client, source) as workers:
        yield workers
