"""A disk that fills up in any task, and a clock that steps back between tasks: the store ends as that of an undisturbed run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from chain_run import Done, Run, month, objects, run_chain

from include.config.model import ModelConfig
from include.errors import StoreUnavailable
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

ROOM = 4 << 20
"""Bytes of the small disk; what a run leaves takes less than a tenth of it."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which can be filled without harm to anybody."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", place], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a small file system: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk: Path, *, leaving: int) -> Path:
    """Take all but some pages of the disk."""
    found = os.statvfs(disk)
    ballast = disk / "ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (found.f_bavail - leaving) * found.f_frsize)
    return ballast


def test_a_disk_that_is_full_in_any_task_leaves_no_half_and_what_is_repeated_leaves_the_same(
    folder: Path, model: ModelConfig, disk: Path, tmp_path: Path
) -> None:
    quiet, store = LocalStore(tmp_path / "quiet"), LocalStore(disk / "store")
    expected = run_chain(quiet, model, folder, month(4))
    whole = objects(quiet)
    run, refused = Run(model, folder, month(4)), set()
    done: Done = {}
    for name in run.steps:
        for pages in (0, 1, 3):
            ballast = fill(disk, leaving=pages)
            try:
                run.do(name, store, done)
            except StoreUnavailable as error:
                assert "No space left" in str(error)
                refused.add(name)
            finally:
                ballast.unlink()
            left = objects(store)
            assert [key for key in left if left[key] != whole[key]] == [], "a name stands for all of its bytes"
        done = run.do(name, store, done)
    assert refused >= {"ingest", "check", "train_decision_tree", "select", "evaluate", "gate", "decide"}
    assert (done, objects(store)) == (expected, whole)


def test_a_clock_that_steps_back_between_tasks_changes_nothing_but_instants(
    folder: Path, model: ModelConfig, store: ObjectStore, tmp_path: Path
) -> None:
    quiet = LocalStore(tmp_path / "quiet")
    run_chain(quiet, model, folder, month(9))
    expected = run_chain(quiet, model, folder, month(8))
    run_chain(store, model, folder, month(9))
    run = Run(model, folder, month(8))
    done: Done = {}
    for hours, name in enumerate(run.steps):
        stepped = replace(run, at=run.at - hours * timedelta(hours=1))
        done = stepped.do(name, store, done)
        assert stepped.do(name, store, done) == done, "repeated, it finds what it did"
    assert (done, objects(store)) == (expected, objects(quiet))
    entries = Ledger(store, model.name).entries()
    assert [entry.at for entry in entries] != sorted(entry.at for entry in entries), "the clock did step back"
    assert Ledger(store, model.name).verify() == len(entries)
