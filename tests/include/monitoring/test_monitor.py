"""The whole of it on a small model: observed, measured, told, asked, whatever is killed or repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from include.config.load import load_model
from include.storage.local import LocalStore
from tests.include.monitoring.conftest import Watched


@pytest.fixture
def world(april: Path, tmp_path: Path) -> Watched:
    shutil.copytree(april, tmp_path / "w")
    folder = tmp_path / "w" / "parcels"
    return Watched(folder, LocalStore(tmp_path / "w" / "store"), load_model(folder / "model.yaml"))


def test_days(world: Watched) -> None:
    import time

    for n in range(1, 15):
        t = time.time()
        m = world.monitor(n)
        print(
            n, round(time.time() - t, 2), [a.said for a in m.told], m.request, len(m.performance), m.kept, m.probation
        )
