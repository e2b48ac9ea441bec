"""Models come from the bundle of the DAG file: a run of a git bundle keeps to the commit that it began with, in every task."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_run import declare, month, parcels

from include.config.code import code_digest
from include.config.load import load_model
from include.config.settings import ROOT
from include.storage.content import digest_json

# What a worker does with a task: take the run's version of the bundle, parse the DAG's file there, run the task.
RUN = """
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag
told = []
for version in json.loads(sys.argv[1]):
    bundle = DagBundlesManager().get_bundle("team", version=version)
    bundle.initialize()
    parsed = {}
    for family in ("retrain", "declarations"):
        bag = BundleDagBag(bundle.path / "dags" / f"{family}.py", bundle_path=bundle.path, bundle_name="team")
        parsed[family] = bag
    dag = parsed["retrain"].dags["retrain_parcels"]
    date = datetime.fromisoformat(sys.argv[2])
    run = SimpleNamespace(run_type="scheduled", logical_date=date, run_after=date, start_date=date, dag_id=dag.dag_id, run_id="r")
    told.append({
        "bundle": str(bundle.path),
        "description": dag.description,
        "handed": dag.get_task("ingest").execute({"dag_run": run, "params": {}}),
        "errors": parsed["declarations"].import_errors,
        "include": sys.modules["include"].__path__[0],
    })
    sys.path.remove(str(bundle.path))
answer(told)
"""


class Repository:
    """A team's git repository: the DAG files, and its models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "dags", folder / "dags", ignore=shutil.ignore_patterns("__pycache__"))
        self.git("init", "--quiet", "--initial-branch", "main")

    def git(self, *arguments: str) -> str:
        """Run git in it."""
        identity = ["-c", "user.name=team", "-c", "user.email=team@example.com"]
        done = subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything and return the commit."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "change")
        return self.git("rev-parse", "HEAD")

    @property
    def models(self) -> Path:
        """Its folder of models."""
        return self.folder / "include" / "models"


def identity(folder: Path) -> str:
    """Return the identity of a declaration, which every task of a run is held to."""
    return digest_json({"model": load_model(folder / "model.yaml").identity, "code": code_digest(folder)})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundle")


@pytest.fixture(scope="module")
def commits(place: Path) -> dict[str, str]:
    """Two commits of one model, by their identity: another sentence and other code."""
    repository = Repository(place / "repository")
    folder, found = repository.models / "parcels", {}
    declare(folder, parcels(rows=800))
    found[repository.commit()] = identity(folder)
    declare(folder, parcels(rows=800), description="Will this parcel be much too late?")
    (folder / "features.py").write_text((folder / "features.py").read_text().replace("18", "20"))
    found[repository.commit()] = identity(folder)
    assert len(set(found.values())) == 2
    return found


def settings(place: Path, **more: str) -> dict[str, str]:
    arguments = {"repo_url": str(place / "repository"), "tracking_ref": "main"}
    bundle = {
        "name": "team",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {"git_conn_id": "none", **arguments},
    }
    return {
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(place / "bundles"),
        "RATCHET_STORE": (place / "store").as_uri(),
        **more,
    }


def test_a_run_of_a_git_bundle_has_the_models_of_its_own_commit(
    in_airflow: Callable[..., Any], place: Path, commits: dict[str, str]
) -> None:
    found = in_airflow(RUN, json.dumps(list(commits)), month(4).isoformat(), fresh=True, **settings(place))
    assert [one["description"] for one in found] == [
        "Will this parcel be late?",
        "Will this parcel be much too late?",
    ], "as the DAG processor parses it"
    assert [one["handed"]["config"] for one in found] == list(commits.values()), "as its tasks read it"
    assert len({one["bundle"] for one in found}) == 2
    assert all(one["errors"] == {} for one in found)
    assert {one["include"] for one in found} == {str(ROOT / "include")}, "code and operators are those of the image"


def test_a_broken_model_of_a_bundle_is_said_there(in_airflow: Callable[..., Any], tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    declare(repository.models / "parcels", parcels(rows=800))
    (repository.models / "broken").mkdir()
    (repository.models / "broken" / "model.yaml").write_text("name: typo\n")
    found = in_airflow(RUN, json.dumps([repository.commit()]), month(4).isoformat(), **settings(tmp_path))
    ((_, message),) = found[0]["errors"].items()
    assert "include/models/broken/model.yaml has" in message


def test_the_folder_that_is_set_wins_over_the_bundles(
    in_airflow: Callable[..., Any], place: Path, commits: dict[str, str], tmp_path: Path
) -> None:
    declare(tmp_path / "parcels", parcels(rows=800), description="Set by hand?")
    chosen = settings(place, RATCHET_MODELS=str(tmp_path))
    (found,) = in_airflow(RUN, json.dumps(list(commits)[:1]), month(4).isoformat(), **chosen)
    assert found["description"] == "Set by hand?"
    assert found["handed"]["config"] == identity(tmp_path / "parcels")
