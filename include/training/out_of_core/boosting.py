"""LightGBM's trees, grown by the workers together: each holds its own partitions' rows in bins, and histograms are summed."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from threadpoolctl import threadpool_limits

from include.data.snapshots import Pinned
from include.errors import ClusterUnavailable
from include.training.estimators.boosting.lightgbm_trees import LightGBMClassifier, LightGBMRegressor, trees_of
from include.training.estimators.optional_libraries import import_library
from include.training.out_of_core.parted_rows import PartedRows
from include.training.out_of_core.workers import RowSource, read_part

log = logging.getLogger(__name__)

Array = np.ndarray[Any, Any]
Part = tuple[Pinned, list[str], int, Array, Array, Array | None]
"""A partition, its columns, its rows in the window, places of ours among them, and their target and weights."""

SAMPLED = 200_000
"""The number of rows that bins are computed from, as in LightGBM."""
_ATTEMPTS = 5
_PATIENCE = 120  # seconds until a worker that was ended is back


def grow_in_parts(
    estimator: LightGBMClassifier | LightGBMRegressor,
    prepare: ColumnTransformer,
    rows: PartedRows,
    weight: Array | None,
) -> None:
    """Fit an estimator to rows that workers read and prepare; started again with the remaining workers when one ends.

    Parameters
    ----------
    estimator : LightGBMClassifier or LightGBMRegressor
        With its settings; how many rows a worker has, and with how many threads it computes, is the worker's own.
    prepare : ColumnTransformer
        Fitted.
    rows : PartedRows
    weight : array of shape (n_rows,), optional

    Raises
    ------
    ClusterUnavailable
        When workers die again and again.
    """
    drawn = rows
    if len(rows) > SAMPLED:
        rng = np.random.default_rng(estimator.random_state or 0)
        drawn = rows.at(np.sort(rng.choice(len(rows), SAMPLED, replace=False)))
    sample = np.concatenate([np.asarray(part, dtype=np.float64) for part in drawn.ask(_prepared, prepare)])
    if rows.classes is not None:
        estimator.classes_ = np.unique(rows.target)
        if len(estimator.classes_) < 2:
            raise ValueError("a classifier needs rows of two classes at least, found one")
    estimator.n_features_in_ = sample.shape[1]
    params = estimator.parameters() | ({"feature_pre_filter": False} if drawn is not rows else {})
    levels = list(estimator.categorical_features or [])
    columns = list(rows.recipe.inputs)
    target = rows.target if rows.classes is None else np.searchsorted(estimator.classes_, rows.target)
    parts: list[Part] = [
        (pinned, columns, count, places, target[own], None if weight is None else weight[own])
        for pinned, count, places, own in rows.divided()
    ]
    from distributed import Lock

    client = rows.workers.client

    for _ in range(_ATTEMPTS):
        # Trees of two fits at once would wait for each other's workers.
        with Lock("ratchet-trees", scheduler_rpc=client.scheduler, loop=client.loop):  # type: ignore[no-untyped-call]
            native = _together(rows.workers, parts, prepare, sample, params, levels, estimator.n_estimators)
        if native is not None:
            estimator.native_ = np.frombuffer(native, dtype=np.uint8)
            estimator.check()
            return
    raise ClusterUnavailable(
        "Workers of the Dask cluster end while they grow trees together.",
        found=f"{_ATTEMPTS} attempts",
        where=f"{rows.recipe.model}: candidate {rows.recipe.name}, {len(rows):,} rows",
        remedy="give workers more memory, or the cluster more of them; their logs say why they ended",
    )


def _prepared(frame: pd.DataFrame, prepare: ColumnTransformer) -> Array:
    return np.asarray(prepare.transform(frame[list(prepare.feature_names_in_)]), dtype=np.float64)


def _together(
    workers: Any,
    parts: Sequence[Part],
    prepare: ColumnTransformer,
    sample: Array,
    params: dict[str, Any],
    levels: list[int],
    rounds: int,
) -> bytes | None:
    """Return the trees that the workers of now grow; None if one of them died."""
    client = workers.client
    client.wait_for_workers(1, timeout=_PATIENCE)
    shares = _shares(parts, sorted(client.nthreads()))
    ports = client.run(_free_port, workers=list(shares), on_error="return")
    if not all(isinstance(ports.get(address), int) for address in shares):
        return None  # a worker is gone already
    machines = ",".join(f"{urlsplit(address).hostname}:{ports[address]}" for address in shares)
    log.info("growing trees together: %d workers", len(shares))
    futures = {
        address: client.submit(
            _grow,
            workers.sent,
            own,
            prepare,
            sample,
            params | _network(machines, ports[address], len(shares)),
            levels,
            rounds,
            address == next(iter(shares)),
            workers=[address],
            allow_other_workers=False,
            pure=False,
        )
        for address, own in shares.items()
    }
    while not all(future.done() for future in futures.values()):
        time.sleep(0.2)
        if set(shares) - set(client.nthreads()):
            _begin_anew(client, futures)
            return None
        if failed := [future for future in futures.values() if future.status == "error"]:
            time.sleep(2)  # a peer's end is known to its neighbours before it is known to the scheduler
            if set(shares) - set(client.nthreads()):
                _begin_anew(client, futures)
                return None
            fault = failed[0].exception()
            _begin_anew(client, futures, but=[address for address, one in futures.items() if one in failed])
            if any(word in str(fault).lower() for word in ("socket", "connect", "linkers")):
                raise ClusterUnavailable(
                    "Workers of the Dask cluster do not reach each other to grow trees together.",
                    found=type(fault).__name__,
                    remedy="let workers open ports to each other; their logs say more",
                ) from fault
            raise fault
    found: bytes = next(iter(futures.values())).result()
    return found


def _begin_anew(client: Any, futures: dict[str, Any], but: Sequence[str] = ()) -> None:
    """End the workers that wait for one that is gone: LightGBM's collectives can't be told to stop."""
    client.cancel(list(futures.values()), force=True)
    left = [address for address in futures if address in client.nthreads() and address not in but]
    log.warning("a worker was lost while trees were grown; %d others start again", len(left))
    if left and len(futures) > 1:
        client.restart_workers(left, timeout=_PATIENCE, raise_for_error=False)


def _network(machines: str, port: int, count: int) -> dict[str, Any]:
    if count == 1:
        return {}
    shared = {"tree_learner": "data", "num_machines": count, "time_out": 10}
    return {**shared, "machines": machines, "local_listen_port": port}


def _shares(parts: Sequence[Part], addresses: Sequence[str]) -> dict[str, list[Part]]:
    """Divide partitions among workers, each the largest left to who has fewest rows; a worker without any takes no part."""
    shares: dict[str, list[int]] = {address: [] for address in addresses}
    rows = dict.fromkeys(addresses, 0)
    for number in sorted(range(len(parts)), key=lambda number: (-len(parts[number][3]), number)):
        address = min(addresses, key=lambda address: rows[address])
        shares[address].append(number)
        rows[address] += len(parts[number][3])
    return {address: [parts[number] for number in sorted(own)] for address, own in shares.items() if own}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def _grow(
    source: RowSource,
    parts: Sequence[Part],
    prepare: ColumnTransformer,
    sample: Array,
    params: dict[str, Any],
    levels: list[int],
    rounds: int,
    tells: bool,
) -> bytes | None:
    """Grow the trees with the others, on a worker that has one partition in memory at a time, and of all of them the bins."""
    from distributed import get_worker

    lightgbm = import_library("lightgbm")
    threads = get_worker().state.nthreads

    class Rows(lightgbm.Sequence):  # type: ignore[misc, name-defined]  # an optional library
        def __init__(self, part: Part) -> None:
            self.part, self.batch_size = part, len(part[3])

        def __len__(self) -> int:
            return len(self.part[3])

        def __getitem__(self, wanted: Any) -> Array:
            pinned, columns, count, places, *_ = self.part
            with threadpool_limits(1):
                matrix = _prepared(read_part(source, pinned, columns, count, places), prepare)
            return np.asarray(matrix[wanted])

    # Bins are a sample's of all rows, so that every worker has the same, whichever rows are its own.
    base = {name: value for name, value in params.items() if name not in _network("", 0, 2)}
    base |= {"pre_partition": True, "num_threads": threads}
    bins = lightgbm.Dataset(sample, categorical_feature=levels, params=base)
    weights = [part[5] for part in parts if part[5] is not None]
    own = lightgbm.Dataset(
        [Rows(part) for part in parts],
        np.concatenate([part[4] for part in parts]),
        weight=np.concatenate(weights) if weights else None,
        categorical_feature=levels,
        params=base,
        reference=bins,
    )
    own.construct()
    booster = lightgbm.train(params | base, own, rounds)
    try:
        return trees_of(booster) if tells else None
    finally:
        if "machines" in params:
            booster.free_network()
