"""Whether the tests bite: lines of the core are changed, one at a time, and the quick tests of their module must fail.

    pip install cosmic-ray
    python -m benchmarks.mutation                # about half an hour; writes its part of docs/testing.md
    python -m benchmarks.mutation --mutants 4 --only gate log --print

Mutants are Cosmic Ray's. A line is drawn first and then one of its mutants, or lines with many operators would be most of the
sample. The tree is copied before anything in it is changed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.page import put

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "testing.md"
COPIED = ("include", "plugins", "dags", "tests", "benchmarks", "pyproject.toml", "airflow.env")
PATIENCE = 300
"""Seconds after which a mutant counts as killed: it made something endless."""
MEMORY = 6
"""GiB of address space of each process of the tests; a mutant that wants more is killed by its ``MemoryError``, not by the machine."""

MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "gate": ("include/registry/gate/bounds.py", ("registry/test_gate.py",)),
    "gate_judgement": ("include/registry/gate/judgement.py", ("registry/test_gate.py",)),
    "gate_guards": ("include/registry/gate/guards.py", ("registry/test_gate.py",)),
    "comparison": (
        "include/evaluation/comparison.py",
        ("evaluation/test_comparison.py", "evaluation/metrics/test_slices.py", "evaluation/uncertainty/test_max_t.py"),
    ),
    "timeline": (
        "include/registry/timeline.py",
        ("registry/test_timeline.py", "registry/history/test_policy_replay.py"),
    ),
    "log": ("include/storage/log.py", ("storage/test_log.py -k 'not fifty'",)),
    "checkpoints": ("include/storage/checkpoints.py", ("storage/test_checkpoints.py",)),
    "partitions": (
        "include/data/ingestion/source_pinning.py",
        ("data/ingestion/test_ingest.py", "data/test_random_split.py"),
    ),
    "windows": ("include/data/windows.py", ("data/test_windows.py", "data/test_frames.py")),
    "weighing": ("include/training/sample_weight.py", ("training/test_sample_weight.py", "training/test_options.py")),
    "search": (
        "include/training/model_selection/search.py",
        (
            "training/model_selection/test_search.py",
            "training/test_learning.py::test_halving_gives_all_rows_to_the_best_of_many_and_to_what_is_declared",
            "training/test_learning.py::test_no_trial_begins_after_the_minutes_are_over",
        ),
    ),
    "approval": ("include/registry/approval.py", ("registry/test_approval.py",)),
    "bootstrap": (
        "include/evaluation/uncertainty/bootstrap.py",
        ("evaluation/uncertainty/test_bootstrap.py", "evaluation/uncertainty/test_delong.py"),
    ),
    "change_detection": (
        "include/monitoring/drift/change_detection.py",
        ("monitoring/drift/test_change_detection.py",),
    ),
    "data_faults": ("include/monitoring/drift/data_faults.py", ("monitoring/drift/test_data_faults.py",)),
    "history": ("include/registry/history/summary.py", ("registry/history/test_summary.py -k 'not collide'",)),
    "sketches": ("include/monitoring/sketches/sketches.py", ("monitoring/sketches/test_sketches.py",)),
}
"""The modules that are changed, and the quick tests that must notice."""


@dataclass(frozen=True)
class Mutant:
    """One change of one line: ``work`` is Cosmic Ray's own description of it."""

    module: str
    line: int
    work: Any


@dataclass(frozen=True)
class Survivor:
    """A mutant that no test noticed."""

    module: str
    line: int
    diff: str

    def __str__(self) -> str:
        changed = [text for text in self.diff.splitlines() if text[:1] in "+-" and text[:3] not in ("+++", "---")]
        return f"{MODULES[self.module][0]}:{self.line}\n" + "\n".join(f"    {text}" for text in changed)


def mutants_of(module: str) -> list[Mutant]:
    """Return all mutants of a module, but for those of annotations and of what a type checker alone reads: nothing runs those."""
    from cosmic_ray.commands.init import init
    from cosmic_ray.work_db import WorkDB, use_db

    path = MODULES[module][0]
    unread = _unread(ast.parse((ROOT / path).read_text()))
    with tempfile.TemporaryDirectory() as folder, use_db(str(Path(folder) / "work"), WorkDB.Mode.create) as work:
        init([Path(path)], work, {})
        specs = [item.mutations[0] for item in work.work_items]
    specs.sort(key=lambda one: (one.start_pos, one.operator_name, one.occurrence))
    return [Mutant(module, one.start_pos[0], one) for one in specs if one.start_pos not in unread]


def _unread(tree: ast.Module) -> Positions:
    nodes: list[ast.expr | ast.If] = [
        node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation
    ]
    nodes += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.returns]
    nodes += [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return Positions([((n.lineno, n.col_offset), (n.end_lineno or 0, n.end_col_offset or 0)) for n in nodes])


@dataclass(frozen=True)
class Positions:
    """Stretches of a file, from a line and column up to another."""

    stretches: list[tuple[tuple[int, int], tuple[int, int]]]

    def __contains__(self, position: object) -> bool:
        return any(start <= position < end for start, end in self.stretches)  # type: ignore[operator]


def sampled(mutants: list[Mutant], count: int, rng: random.Random) -> list[Mutant]:
    """Draw lines, and of each one mutant."""
    by_line: dict[int, list[Mutant]] = {}
    for mutant in mutants:
        by_line.setdefault(mutant.line, []).append(mutant)
    lines = rng.sample(sorted(by_line), min(count, len(by_line)))
    return [rng.choice(by_line[line]) for line in sorted(lines)]


def survivors(chosen: list[Mutant], python: str) -> Iterator[Survivor | None]:
    """Try each mutant in a copy of the tree; yield it if it survived."""
    from cosmic_ray.mutating import mutate_and_test
    from cosmic_ray.testing import run_tests
    from cosmic_ray.work_item import TestOutcome, WorkerOutcome

    with tempfile.TemporaryDirectory(prefix="ratchet-mutants-") as copy:
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(copy) / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        os.chdir(copy)
        for module in {mutant.module for mutant in chosen}:
            if run_tests(command(module, python), PATIENCE)[0] != TestOutcome.SURVIVED:
                raise SystemExit(f"{module}: its tests fail before anything is changed")
        for mutant in chosen:
            result = mutate_and_test([mutant.work], command(mutant.module, python), PATIENCE)
            if result.worker_outcome != WorkerOutcome.NORMAL:
                raise SystemExit(f"{mutant.module}, line {mutant.line}: {result.output}")
            survived = result.test_outcome == TestOutcome.SURVIVED
            yield Survivor(mutant.module, mutant.line, result.diff) if survived else None
        os.chdir(ROOT)


def command(module: str, python: str) -> str:
    """Return what runs the quick tests of a module."""
    files = " ".join(f"tests/include/{test}" for test in MODULES[module][1])
    return limited(f"{python} -m pytest -q -x -p no:cacheprovider {files}")


def limited(command: str, gigabytes: float = MEMORY) -> str:
    """Return a command whose every process has so many GiB of address space and no more."""
    return shlex.join(["sh", "-c", f"ulimit -v {int(gigabytes * 2**20)} && exec {command}"])


def main() -> None:
    """Draw, try, print the survivors and the table, and write the page's part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mutants", type=int, default=8, help="how many of each module")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=sorted(MODULES), nargs="+", help="some modules")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that runs the tests")
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    started, rows, lived = time.perf_counter(), [], []
    for module in arguments.only or MODULES:
        every = mutants_of(module)
        # A generator of its own: what is drawn of one module does not change with another.
        chosen = sampled(every, arguments.mutants, random.Random(f"{arguments.seed} {module}"))  # noqa: S311
        found = [one for one in survivors(chosen, arguments.python) if one is not None]
        lived += found
        rows.append(
            f"| `{MODULES[module][0]}` | {len(every):,} | {len(chosen)} | {len(chosen) - len(found)} | {len(found)} |"
        )
        print(rows[-1], *found, sep="\n", flush=True)  # noqa: T201 (a command's answer)
    tried = sum(int(row.split("|")[3]) for row in rows)
    total = f"| together | | {tried} | {tried - len(lived)} | {len(lived)} |"
    table = ["| module | mutants | tried | killed | survived |", "|---|---|---|---|---|", *rows, total]
    print(*table, f"{(time.perf_counter() - started) / 60:.1f} minutes", sep="\n")  # noqa: T201
    if not arguments.print:
        put("mutation", "\n".join([f"Seed {arguments.seed}, Cosmic Ray.", "", *table]), PAGE)


if __name__ == "__main__":
    main()
