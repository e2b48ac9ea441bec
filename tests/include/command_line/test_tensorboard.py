"""What is exported is read back by TensorBoard's own reader, number by number."""

from __future__ import annotations

import builtins
import shutil
from pathlib import Path
from typing import Any

import pytest
from watched import Watched, april  # noqa: F401 (a fixture)

from include.command_line.tensorboard import export, scalars
from include.config.load import load_model
from include.errors import ConfigError
from include.storage.local import LocalStore


@pytest.fixture(scope="module")
def world(april: Path, tmp_path_factory: pytest.TempPathFactory) -> Watched:  # noqa: F811
    root = tmp_path_factory.mktemp("board") / "w"
    shutil.copytree(april, root)
    made = Watched(root / "parcels", LocalStore(root / "store"), load_model(root / "parcels" / "model.yaml"))
    for number in range(1, 6):
        made.monitor(number)
    return made


def test_tensorboard_reads_every_number_of_versions_and_intervals(world: Watched, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="an extra: `make test` installs it")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    expected = list(scalars(world.store, world.model))
    assert export(world.store, world.model, tmp_path) == len(expected)
    found: dict[tuple[str, str, int], tuple[float, float]] = {}
    for run in {run for run, *_ in expected}:
        events = reader.EventAccumulator(str(tmp_path / "parcels" / run)).Reload()
        for tag in events.Tags()["scalars"]:
            for one in events.Scalars(tag):
                found[run, tag, one.step] = (one.wall_time, one.value)
    assert len(found) == len(expected)
    for run, tag, step, instant, value in expected:
        # The reader's names are those of files: blanks and brackets are replaced.
        clean = tag.replace("(", "_").replace(")", "_")
        at, read = found.get((run, tag, step)) or found[run, clean, step]
        assert at == pytest.approx(instant.timestamp()) and read == pytest.approx(value, rel=1e-5, abs=1e-6)
    with pytest.raises(ConfigError, match="stands there already"):
        export(world.store, world.model, tmp_path)


def test_versions_have_their_holdouts_metrics_and_intervals_estimate_truth_and_drift(world: Watched) -> None:
    found = {(run, tag) for run, tag, *_ in scalars(world.store, world.model)}
    assert {("versions/challenger", "holdout/roc_auc"), ("versions/simple", "holdout/roc_auc")} <= found
    assert {("intervals/measured", "performance/roc_auc"), ("intervals/estimated", "performance/roc_auc")} <= found
    assert ("intervals/measured", "drift/weight") in found


def test_without_tensorboardx_it_is_said_how_to_get_it(
    world: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "tensorboardX":
            raise ImportError(name)
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match="ratchet\\[tensorboard\\]"):
        export(world.store, world.model, tmp_path)
