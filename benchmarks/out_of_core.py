"""Rows beyond one machine's memory: `training.engine: dask` on two workers of 3 GiB, beside the same in one process.

    python -m benchmarks.out_of_core --millions 0.5            # that it works; prints, writes nothing
    python -m benchmarks.out_of_core --millions 30 --alone     # on a quiet machine; the one process needs what it needs
    python -m benchmarks.out_of_core --stream 1 10 100         # ingestion and checks alone; writes its part of docs/scale.md

The flights of five months, each repeated under other flight numbers until there are as many as wanted, a partition a day. Peaks are
of whole processes: of each worker, and of the one that ingests, of the one that drives training and of the one that evaluates.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from benchmarks.page import PAGE, machine, put
from benchmarks.rows import AS_OF, YAML, declare, in_child, write_source
from include.config.model import ModelConfig
from include.evaluation.evidence import load_evidence
from include.storage.local import LocalStore
from tests.chain_run import Run

WORKERS, LIMIT = 2, "3GiB"
STEPS = {
    "ingest": ["ingest", "check"],
    "train": ["train_lightgbm", "train_baselines"],
    "evaluate": ["select", "evaluate"],
}
CANDIDATES = "  candidates: [{estimator: lightgbm, params: {n_estimators: 50}}]"


def yaml(engine: str) -> str:
    """Return the declaration: that of `benchmarks.rows` with a partition a day, and LightGBM for candidate."""
    line = next(one for one in YAML.splitlines() if one.startswith("  candidates:"))
    text = YAML.replace(line, engine + CANDIDATES).replace("partition: month", "partition: day")
    return text.replace("FOLDER/%Y-%m.parquet", "FOLDER/%Y-%m-%d.parquet")


def peak() -> float:
    """Return the most memory that this process has had, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def serve(pipe: Connection) -> None:
    """Hold a cluster in a process of its own, and tell the peaks of its workers when asked."""
    import distributed

    local: Any = distributed.LocalCluster
    connect: Any = distributed.Client
    with (
        local(
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=LIMIT,
            processes=True,
            dashboard_address=None,
            host="127.0.0.1",
        ) as cluster,
        connect(cluster) as client,
    ):
        pipe.send(cluster.scheduler_address)
        while pipe.recv() != "end":
            pipe.send(sorted(client.run(peak).values()))


@contextmanager
def cluster() -> Iterator[Connection]:
    """Yield the way to ask a cluster, whose address ``RATCHET_DASK`` then has."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    holder = context.Process(target=serve, args=(theirs,))
    holder.start()
    os.environ["RATCHET_DASK"] = ours.recv()
    try:
        yield ours
    finally:
        ours.send("end")
        holder.join()


def run_steps(folder: Path, model: ModelConfig, asked: Connection | None) -> str:
    """Do each step and print its seconds and peaks; return the digest of the evidence."""
    run, store = Run(model, folder / "flights", AS_OF), LocalStore(folder / "store")
    done: dict[str, Any] = {}
    for step, tasks in STEPS.items():
        began, peaks = time.perf_counter(), []
        for task in tasks:
            _, most, done = in_child(partial(run.do, task, store, done))
            peaks.append(most)
        said = f"  {step}: {time.perf_counter() - began:.1f} s, its own process {max(peaks):.2f} GiB"
        if asked is not None:
            asked.send("peaks")
            said += ", workers until then " + " and ".join(f"{one:.2f}" for one in asked.recv()) + " GiB"
        print(said, flush=True)  # noqa: T201
    return str(done["evaluate"]["evidence"])


def compare(millions: float, *, alone: bool) -> None:
    """Run the steps on the cluster and, if asked, in one process, and print what both measured."""
    with tempfile.TemporaryDirectory(prefix="ratchet-out-of-core-") as scratch:
        source = Path(scratch, "source")
        rows = write_source(source, round(millions * 1e6), "%Y-%m-%d")
        print(f"{rows:,} rows; {WORKERS} workers of {LIMIT}", flush=True)  # noqa: T201
        for name, engine in (("dask", "  engine: dask\n"), *((("one process", ""),) if alone else ())):
            folder = Path(scratch, name.replace(" ", "_"))
            model = declare(folder / "flights", source, yaml(engine))
            print(f"{name}:")  # noqa: T201
            if engine:
                with cluster() as asked:
                    digest = run_steps(folder, model, asked)
            else:
                digest = run_steps(folder, model, None)
            scores = load_evidence(LocalStore(folder / "store"), model.name, digest).scores
            print("  " + ", ".join(f"{role} {scored['roc_auc'].value}" for role, scored in scores.items()))  # noqa: T201


def stream(sizes: list[float]) -> None:
    """Ingest and check so many millions of rows, each in a process of its own, and write the table."""
    lines = [
        machine(),
        "",
        "| rows | largest partition | ingest, processor seconds a million | GiB | check, processor seconds a million | GiB |",
        "|---|---|---|---|---|---|",
    ]
    for millions in sizes:
        with tempfile.TemporaryDirectory(prefix="ratchet-stream-") as scratch:
            source, folder = Path(scratch, "source"), Path(scratch, "place")
            rows = write_source(source, round(millions * 1e6), "%Y-%m-%d")
            largest = max(pq.ParquetFile(file).metadata.num_rows for file in source.glob("*.parquet"))
            run = Run(declare(folder / "flights", source, yaml("")), folder / "flights", AS_OF)
            store, done, cells = LocalStore(folder / "store"), dict[str, Any](), ""
            for task in STEPS["ingest"]:
                seconds, most, done = in_child(partial(run.do, task, store, done))
                cells += f" {seconds / rows * 1e6:.2f} | {most:.2f} |"
            lines.append(f"| {rows / 1e6:.1f} million | {largest:,} |{cells}")
            print(lines[-1], flush=True)  # noqa: T201
    put("stream", "\n".join(lines), PAGE.with_name("scale.md"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, default=0.5)
    parser.add_argument("--alone", action="store_true", help="the same in one process, too")
    parser.add_argument(
        "--stream", type=float, nargs="+", metavar="MILLIONS", help="ingest and check alone, so many rows"
    )
    given = parser.parse_args()
    if given.stream:
        stream(given.stream)
    else:
        compare(given.millions, alone=given.alone)
