"""A team with models of its own goes to a new release, by both ways of docs/upgrade.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare, parcels

from include.config.settings import ROOT

PARTS = (
    "dags",
    "plugins",
    "include",
    "airflow.env",
    "pyproject.toml",
    "MANIFEST.in",
    "CHANGELOG.md",
    "requirements.txt",
)
DESCRIBE = """
import include
bag = DagBag()
answer({"dags": sorted(bag.dags), "errors": bag.import_errors, "include": list(include.__path__)[0],
        "said": bag.dags["retrain_parcels"].doc_md, "operators": sys.modules["ratchet_operators"].__file__})
"""


def release(folder: Path, version: str) -> Path:
    """Write the files of a release: the present ones, with a version and a sentence of its own."""
    for part in PARTS:
        source, to = ROOT / part, folder / part
        if source.is_dir():
            shutil.rmtree(to, ignore_errors=True)
            shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)
    project, retrain = folder / "pyproject.toml", folder / "dags" / "retrain.py"
    project.write_text(re.sub(r'^version = ".*"', f'version = "{version}"', project.read_text(), flags=re.MULTILINE))
    retrain.write_text(retrain.read_text().replace("Retrain a model,", f"Release {version}: retrain a model,", 1))
    shipped = folder / "include" / "models" / "flight_delay" / "model.yaml"
    shipped.write_text(f"# {version}\n{shipped.read_text()}")
    return folder


def git(folder: Path, *arguments: str, fails: bool = False) -> str:
    identity = ["-c", "user.name=team", "-c", "user.email=team@example.com"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True)
    assert fails or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def settings(root: Path, **more: str) -> dict[str, str]:
    folders = {f"AIRFLOW__CORE__{name.upper()}_FOLDER": str(root / name) for name in ("dags", "plugins")}
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(root), **folders, **more}  # not the folder that the tests stand in


@pytest.mark.parametrize("deleted", [False, True])
def test_a_clone_with_models_of_its_own_merges_a_release(
    in_airflow: Callable[..., Any], tmp_path: Path, deleted: bool
) -> None:
    upstream = tmp_path / "upstream"
    for version in ("0.8.0", "0.9.0"):
        release(upstream, version)
        if version == "0.8.0":
            git(upstream, "init", "--quiet", "--initial-branch", "main")
        git(upstream, "add", "--all")
        git(upstream, "commit", "--quiet", "--message", version)
        git(upstream, "tag", f"v{version}")
    team = tmp_path / "team"
    git(tmp_path, "clone", "--quiet", "--branch", "v0.8.0", str(upstream), str(team))
    git(team, "switch", "--quiet", "--create", "main")
    git(team, "remote", "rename", "origin", "ratchet")
    declare(team / "include" / "models" / "parcels", parcels(rows=300))
    if deleted:
        shutil.rmtree(team / "include" / "models" / "flight_delay")
    git(team, "add", "--all")
    git(team, "commit", "--quiet", "--message", "our model")
    git(team, "fetch", "--quiet", "ratchet", "--tags")
    git(team, "merge", "--quiet", "--no-edit", "v0.9.0", fails=deleted)
    if deleted:
        git(team, "rm", "-r", "--quiet", "include/models/flight_delay")
        git(team, "commit", "--quiet", "--no-edit")
    assert git(team, "status", "--porcelain") == ""
    found = in_airflow(DESCRIBE, **settings(team))
    assert found["errors"] == {} and "Release 0.9.0" in found["said"]
    assert ("retrain_flight_delay" in found["dags"]) is not deleted
    assert Path(found["include"]).is_relative_to(team) and Path(found["operators"]).is_relative_to(team)


def test_a_release_that_is_unpacked_elsewhere_runs_the_models_of_a_team(
    in_airflow: Callable[..., Any], tmp_path: Path
) -> None:
    declare(tmp_path / "models" / "parcels", parcels(rows=300))
    build = "from setuptools.build_meta import build_sdist; build_sdist('dist')"
    for version in ("0.8.0", "0.9.0"):
        source = release(tmp_path / "source", version)
        subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
        with tarfile.open(source / "dist" / f"ratchet-{version}.tar.gz") as archive:
            archive.extractall(tmp_path / "opt", filter="data")
        root = tmp_path / "opt" / f"ratchet-{version}"
        found = in_airflow(DESCRIBE, **settings(root, RATCHET_MODELS=str(tmp_path / "models")))
        assert found["errors"] == {} and f"Release {version}" in found["said"]
        assert "retrain_flight_delay" not in found["dags"]
        assert Path(found["include"]).is_relative_to(root) and Path(found["operators"]).is_relative_to(root)
