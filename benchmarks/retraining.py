"""One retraining and six months of them: Ratchet under Airflow beside the same work in a plain script, by turns in one run.

    python -m benchmarks.retraining                # half an hour; writes its part of docs/performance.md
    python -m benchmarks.retraining --print
    python -m benchmarks.retraining --only months  # nine minutes: two at a time on SQLite, once more, and one on PostgreSQL; printed

Everything is measured on the machine as it is; compare the ratios, not the seconds. Let nothing else run beside it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median
from types import MappingProxyType
from unittest.mock import patch
from urllib.parse import quote

import psutil

from benchmarks.page import machine, put
from include.command_line.local_airflow.backfill import backfill
from include.command_line.local_airflow.environment import shared_settings
from include.command_line.local_airflow.standalone import LocalAirflow, free_port, local_airflow

DAG = "retrain_flight_delay"
BEFORE = "2013-08-01"
SINGLE = ["2013-09-01", "2013-10-01", "2013-11-01"]
SIX = ["2013-06-01", "2013-07-01", "2013-08-01", "2013-09-01", "2013-10-01", "2013-11-01"]
STEPS = ("ingest", "check", "train", "select", "evaluate", "gate", "promote", "keep_champion", "settle")
GOALS = {"cold": 0.9, "warm": 1.1, "two": 0.9, "again": 0.1}
AGAIN = "SQLite, again"
QUIET = 125.0  # seconds over which the idle system is watched: each DAG file is read once in two minutes
WAKING = 3.0  # seconds until a scheduler that was held has caught up
RESTING = 30.0  # seconds until DAG files that were due are read, and the scheduler rests


def plain(folder: Path, dates: list[str], *, threads: int | None) -> subprocess.Popen[str]:
    """Start the plain script on some dates, one after the other in one process."""
    limits = {} if threads is None else {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    folder.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-m", "benchmarks.plain", str(folder), *dates],
        env={**os.environ, **limits},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def ended(*processes: subprocess.Popen[str]) -> list[list[float]]:
    """Wait, and return the seconds that each says its dates took."""
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("The plain script failed; run it by hand: python -m benchmarks.plain FOLDER DATE")
    return [[float(line) for line in answer.splitlines()] for answer in answers]


def run(airflow: LocalAirflow, dates: list[str], *, at_once: int) -> tuple[list[float], dict[str, float]]:
    """Backfill some dates; return the seconds from the first run's start to each one's end, in order, and those of each step."""
    first, last = (datetime.fromisoformat(date).replace(tzinfo=UTC) for date in (dates[0], dates[-1]))
    airflow.api.patch(f"dags/{DAG}", {"is_paused": True})
    progress = backfill(airflow, DAG, first, last, at_once=at_once, show=lambda progress: None)
    if progress.unsuccessful:
        raise SystemExit(f"Runs failed: {progress.failed}")
    within = {"logical_date_gte": first.isoformat(), "logical_date_lte": last.isoformat(), "limit": 100}
    runs = airflow.api.get(f"dags/{DAG}/dagRuns", **within)["dag_runs"]
    tasks = airflow.api.get(f"dags/{quote(DAG)}/dagRuns/~/taskInstances", **within)["task_instances"]
    took = {step: sum(task["duration"] or 0 for task in tasks if task["task_id"] == step) for step in STEPS}
    starts, ends = ([datetime.fromisoformat(one[field]) for one in runs] for field in ("start_date", "end_date"))
    return sorted((end - min(starts)).total_seconds() for end in ends), took


@contextmanager
def at_rest(
    folder: Path,
    first: str,
    *,
    database: str | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
    settings: Mapping[str, str] = MappingProxyType({}),
    cores: Iterable[int] = (),
) -> Iterator[LocalAirflow]:
    """Start Airflow with an empty store, run the DAG at a first date, and hold all of its processes, until `awake`.

    What is compared then runs in turns, within minutes, and nothing of one beside the other: machines are not equally fast
    at all times.
    """
    shared, every = {**shared_settings(), **settings}, os.sched_getaffinity(0)
    with ExitStack() as stack:
        with (
            patch.dict(os.environ, {"RATCHET_STORE": (folder / "store").as_uri(), **variables}),
            patch("include.command_line.local_airflow.environment.shared_settings", return_value=shared),
        ):
            os.sched_setaffinity(0, set(cores) or every)  # what is started inherits it
            try:
                started = local_airflow(folder / "home", port=free_port(8080), triggerer=False, database=database)
                airflow = stack.enter_context(started)
            finally:
                os.sched_setaffinity(0, every)
        airflow.wait_ready(DAG)
        run(airflow, [first], at_once=1)
        _send(airflow, signal.SIGSTOP)
        try:
            yield airflow
        finally:
            _send(airflow, signal.SIGCONT)


@contextmanager
def awake(airflow: LocalAirflow) -> Iterator[LocalAirflow]:
    """Let an Airflow at rest work for a while."""
    _send(airflow, signal.SIGCONT)
    time.sleep(WAKING)
    try:
        yield airflow
    finally:
        _send(airflow, signal.SIGSTOP)


def _members(airflow: LocalAirflow) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if _session(process.pid) == airflow.process.pid]


def _send(airflow: LocalAirflow, number: signal.Signals) -> None:
    for process in _members(airflow):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except (ProcessLookupError, PermissionError):
        return None


def idle(airflows: Mapping[str, LocalAirflow]) -> dict[str, tuple[float, float]]:
    """Return the cores and the GiB that each Airflow uses while nothing runs; what its short-lived processes used is told by their parents."""
    members = {name: _members(airflow) for name, airflow in airflows.items()}

    def spent(name: str) -> float:
        return sum(sum(p.cpu_times()[:4]) for p in members[name] if p.is_running())

    before = {name: spent(name) for name in airflows}
    time.sleep(QUIET)
    used = {name: (spent(name) - before[name]) / QUIET for name in airflows}
    held = {
        name: sum(p.memory_full_info().pss for p in each if p.is_running()) / 2**30 for name, each in members.items()
    }
    return {name: (used[name], held[name]) for name in airflows}


def singles(
    folder: Path, databases: dict[str, str | None]
) -> tuple[dict[str, list[float]], dict[str, dict[str, float]]]:
    """Return the seconds of one retraining after another, plain and on each database by turns; and of those each step's."""
    found: dict[str, list[float]] = {name: [] for name in ("cold", "warm", *databases)}
    steps: dict[str, list[dict[str, float]]] = {name: [] for name in databases}
    ended(plain(folder / "cold", [BEFORE], threads=None))  # a champion to measure against, and warm file caches
    with ExitStack() as stack:
        airflows = {
            name: stack.enter_context(at_rest(folder / name, BEFORE, database=address and address + "single"))
            for name, address in databases.items()
        }
        for date in SINGLE:
            began = time.perf_counter()
            ended(plain(folder / "cold", [date], threads=None))
            found["cold"].append(time.perf_counter() - began)
            ((_, warm),) = ended(plain(folder / "warm", [BEFORE, date], threads=None))
            found["warm"].append(warm)
            for name, airflow in airflows.items():
                with awake(airflow):
                    ends, took = run(airflow, [date], at_once=1)
                found[name].append(ends[-1])
                steps[name].append(took)
            print({name: f"{seconds[-1]:.1f}" for name, seconds in found.items()}, flush=True)  # noqa: T201
    return found, {name: {step: median(took[step] for took in each) for step in STEPS} for name, each in steps.items()}


def months(folder: Path, databases: dict[str, str | None], *, alone: bool = True) -> dict[str, list[float]]:
    """Return after how many seconds each of six months had ended, for the plain script twice, before Ratchet and after it.

    The SQLite one runs the same months once more, when all of them are on record. With ``alone`` they also run one by one.
    """
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        first = "2013-05-01"  # as the plain loop: the machine has seen the files
        airflows = {
            name: stack.enter_context(at_rest(folder / name, first, database=address and address + "two"))
            for name, address in databases.items()
        }
        if alone:
            airflows["one by one"] = stack.enter_context(at_rest(folder / "alone", first))
            airflows["one by one, on one core"] = stack.enter_context(
                at_rest(folder / "core", first, cores=[min(os.sched_getaffinity(0))])
            )
        for turn in ("before", *airflows, "after", AGAIN):
            if airflow := airflows.get("SQLite" if turn == AGAIN else turn):
                with awake(airflow):
                    found[turn], _ = run(airflow, SIX, at_once=2 if turn in (*databases, AGAIN) else 1)
            else:
                began = time.perf_counter()
                halves = [plain(folder / f"{turn}{half}", SIX[half::2], threads=1) for half in (0, 1)]
                ended(*halves)
                found[turn] = [time.perf_counter() - began]
            print(turn, f"{found[turn][-1]:.1f}", flush=True)  # noqa: T201
    return found


SLEEP = "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"
PARSE = "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"
VARIANTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "as it comes": ({}, {}),
    "each task imports for itself": ({"RATCHET_WARM": "0"}, {}),
    "the scheduler looks once a second, as Airflow ships it": ({}, {SLEEP: "1"}),
    "the scheduler looks ten times a second": ({}, {SLEEP: "0.1"}),
    "DAG files are read every 30 seconds, as Airflow ships it": ({}, {PARSE: "30"}),
}
"""What a setting costs and gives: changed variables of the environment, and changed settings of airflow.env."""


def variant_times(folder: Path) -> dict[str, tuple[float, float, float]]:
    """Return of each variant the seconds of a retraining, and the cores and GiB of the idle system."""
    each: dict[str, list[float]] = {name: [] for name in VARIANTS}
    with ExitStack() as stack:
        airflows = {
            name: stack.enter_context(at_rest(folder / str(number), BEFORE, variables=variables, settings=settings))
            for number, (name, (variables, settings)) in enumerate(VARIANTS.items())
        }
        with ExitStack() as all_awake:  # processor time, which they do not take from each other
            for airflow in airflows.values():
                all_awake.enter_context(awake(airflow))
            time.sleep(RESTING)
            still = idle(airflows)
        for date in SINGLE:
            for name, airflow in airflows.items():
                with awake(airflow):
                    each[name].append(run(airflow, [date], at_once=1)[0][-1])
    return {name: (median(each[name]), *still[name]) for name in VARIANTS}


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Serve an empty PostgreSQL on a free port; its address."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        raise SystemExit("PostgreSQL is not installed; `--database sqlite` measures without it.")
    port = free_port(5433)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    folder.mkdir(parents=True)
    if user:
        subprocess.run(["/bin/chown", "postgres", str(folder)], check=True)  # noqa: S603
    data, log = folder / "data", folder / "log"
    subprocess.run(  # noqa: S603
        [*user, str(programs / "initdb"), "-D", str(data), "-A", "trust", "-U", "airflow"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
    )
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    control = [*user, str(programs / "pg_ctl"), "-D", str(data), "-w"]
    start = [*control, "-l", str(log), "-o", options, "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603
    try:
        for name in ("single", "two"):
            subprocess.run(  # noqa: S603
                [*user, str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "airflow", name],
                check=True,
                cwd=folder,
            )
        yield f"postgresql+psycopg2://airflow@127.0.0.1:{port}/"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, stdout=subprocess.DEVNULL, cwd=folder)  # noqa: S603


def ratio(ours: list[float], theirs: list[float]) -> float:
    """Return the median of what turns give."""
    return median(one / other for one, other in zip(ours, theirs, strict=True))


def compared(single: dict[str, list[float]], six: dict[str, list[float]], databases: Iterable[str]) -> list[str]:
    """Return the lines of the first table: what of it was measured."""
    two = fmean([six["before"][-1], six["after"][-1]])
    lines = [
        "| | seconds | of the cold script | of the warm loop | of two processes | of the first time |",
        "|---" * 6 + "|",
    ]
    lines.append(f"| plain script, cold | {median(single['cold']):.1f} | | | | |")
    lines.append(f"| plain loop, warm, a month | {median(single['warm']):.1f} | | | | |")
    both = f"{six['before'][-1]:.1f}, {six['after'][-1]:.1f}"
    lines.append(f"| plain, six months, two processes of one thread, before and after | {both} | | | | |")
    for name in databases:
        if name in single:
            cold, warm = (ratio(single[name], single[plain]) for plain in ("cold", "warm"))
            seconds = f"{median(single[name]):.1f} | {cold:.2f} | {warm:.2f}"
            lines.append(f"| **Ratchet**, one retraining, {name} | {seconds} | | |")
        if name in six:
            seconds = f"{six[name][-1]:.1f} | | | {six[name][-1] / two:.2f}"
            lines.append(f"| **Ratchet**, six months, two at a time, {name} | {seconds} | |")
    again, once = six[AGAIN][-1], six["SQLite"][-1]
    lines.append(f"| **Ratchet**, the same six months again, SQLite | {again:.1f} | | | | {again / once:.2f} |")
    goals = " | ".join(f"at most {GOALS[name]}" for name in ("cold", "warm", "two", "again"))
    return [*lines, f"| goal | | {goals} |"]


def table(
    single: dict[str, list[float]],
    steps: dict[str, dict[str, float]],
    six: dict[str, list[float]],
    variants: dict[str, tuple[float, float, float]],
) -> str:
    """Return the part of the page."""
    lines = compared(single, six, steps)
    share = ["", "Of one retraining, seconds in each step (`train` summed over tasks that run side by side):", ""]
    shown = [step for step in STEPS if any(took[step] for took in steps.values())]
    share += ["| | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for name, took in steps.items():
        share.append(f"| {name} | " + " | ".join(f"{took[step]:.1f}" for step in shown) + " |")
    scaling = ["", "Months of one backfill, one by one (SQLite):", ""]
    scaling += ["| months | seconds | a month |", "|---" * 3 + "|"]
    for number, seconds in enumerate(six["one by one"], start=1):
        if number in (1, 2, 4, len(SIX)):
            scaling.append(f"| {number} | {seconds:.1f} | {seconds / number:.1f} |")
    parallel = ["", "Six months on the cores that there are (SQLite):", ""]
    parallel += ["| | seconds | speed-up | of what the cores could give |", "|---" * 4 + "|"]
    alone = six["one by one, on one core"][-1]
    for name, seconds in {
        "one by one, on one core": alone,
        "one by one": six["one by one"][-1],
        "two at a time": six["SQLite"][-1],
    }.items():
        share_of_cores = "" if seconds == alone else f"{alone / seconds / (os.cpu_count() or 1):.2f}"
        parallel.append(f"| {name} | {seconds:.1f} | {alone / seconds:.2f} | {share_of_cores} |")
    settings = ["", "What settings give and cost (SQLite):", ""]
    settings += ["| | one retraining, s | idle, cores | idle, GiB |", "|---" * 4 + "|"]
    settings += [f"| {name} | {one:.1f} | {cores:.2f} | {size:.1f} |" for name, (one, cores, size) in variants.items()]
    return "\n".join([machine(), "", *lines, *share, *scaling, *parallel, *settings])


def main() -> None:
    """Measure, print the table, and write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    parser.add_argument(
        "--only",
        choices=["months"],
        help="six months two at a time on SQLite, the same again, and one retraining on PostgreSQL; printed",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with postgres(folder / "server") as address:
            databases: dict[str, str | None] = {"SQLite": None, "PostgreSQL": address}
            if arguments.only:
                six = months(folder / "six", {"SQLite": None}, alone=False)
                single, _ = singles(folder / "single", {"PostgreSQL": address})
                print("\n".join([machine(), "", *compared(single, six, databases)]))  # noqa: T201
                return
            single, steps = singles(folder / "single", databases)
            six = months(folder / "six", databases)
        found = table(single, steps, six, variant_times(folder / "variants"))
    print(found)  # noqa: T201
    if not arguments.print:
        put("retraining", found)


if __name__ == "__main__":
    main()
