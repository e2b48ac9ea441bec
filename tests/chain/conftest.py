"""The small model, declared once, and children that start with everything imported."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from chain_run import declare

from include.config.model import ModelConfig


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model's folder; nobody changes it."""
    return tmp_path_factory.mktemp("models") / "parcels"


@pytest.fixture(scope="session")
def model(folder: Path) -> ModelConfig:
    """The small model."""
    return declare(folder)


@pytest.fixture(scope="session")
def children(pytestconfig: pytest.Config) -> ForkServerContext:
    """Where processes come from: forked from one that has imported everything and has no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["chain_run", "include.data.quality.library", "skops.io", "sklearn.linear_model", "sklearn.tree"]
    )
    root = pytestconfig.rootpath
    os.environ["PYTHONPATH"] = os.pathsep.join([str(root), str(root / "tests"), os.environ.get("PYTHONPATH", "")])
    return context
