"""Stores to test on: a folder, and S3 as moto's server speaks it over a real socket."""

from __future__ import annotations

import gc
import logging
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_scripts import in_airflow  # noqa: F401 (a fixture)
from migrated import migrated  # noqa: F401 (a fixture)
from once import Once, once  # noqa: F401 (the last is a fixture)
from syncing import skip_syncs

from include.storage.local import LocalStore
from include.storage.store import ObjectStore
from tests.compose.s3_server import let_one_write_at_a_time

# pyspark takes a process whose main module has no file, as a worker of pytest-xdist's, for its own doctests, and ends it.
if not hasattr(sys.modules["__main__"], "__file__"):
    sys.modules["__main__"].__file__ = __file__

# Half a million objects of imported modules stay to the end: nothing looks through them, neither while more are imported nor later.
gc.disable()


def pytest_collection_finish() -> None:
    """Let the garbage collector look only at what tests make."""
    gc.collect()
    gc.freeze()
    gc.enable()


skip_syncs()

# Set for child processes too; a test must never reach a real account.
os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_EC2_METADATA_DISABLED="true",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each process of ``--dist loadfile`` what is set up once."""
    if config.getoption("dist") != "loadfile":
        return None
    from scheduling import ByUnit

    return ByUnit(config, log)


@pytest.fixture
def local_store(tmp_path: Path) -> LocalStore:
    """An empty store in a folder."""
    return LocalStore(tmp_path / "store")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of an S3 server on a free port of this machine."""
    from moto.server import ThreadedMotoServer

    let_one_write_at_a_time()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_client(s3_server: str) -> Any:
    """A boto3 client of the S3 server."""
    import boto3

    return boto3.client("s3", endpoint_url=s3_server)


@pytest.fixture
def s3_store(s3_client: Any) -> ObjectStore:
    """An empty store under a prefix of a new bucket."""
    from include.storage.s3 import S3Store

    bucket = f"test-{uuid.uuid4().hex}"
    s3_client.create_bucket(Bucket=bucket)
    return S3Store(s3_client, bucket, "team/ratchet")


@pytest.fixture(params=["local", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """An empty store of each kind, one after the other."""
    store: ObjectStore = request.getfixturevalue(f"{request.param}_store")
    return store


@pytest.fixture(scope="session")
def mlflow_address(once: Once) -> Iterator[str]:  # noqa: F811 (a fixture)
    """Address of an MLflow server."""
    from mlflow_server import mlflow_server

    with mlflow_server(once) as address:
        yield address


@pytest.fixture(scope="session")
def signed_made(once: Once) -> Any:  # noqa: F811 (a fixture)
    """A deployment that signs, which nobody may change."""
    from signed_world import SignedWorld

    return SignedWorld(once("signed", lambda folder: SignedWorld.make(folder / "w")) / "w")


@pytest.fixture(scope="session")
def older_made(once: Once) -> Any:  # noqa: F811 (a fixture)
    """One whose versions were made under older libraries; nobody may change it."""
    from signed_world import SignedWorld

    return SignedWorld(once("older", lambda folder: SignedWorld.make(folder / "w", older=True)) / "w")


@pytest.fixture(scope="session")
def rebuilt_made(once: Once, older_made: Any) -> Any:  # noqa: F811 (a fixture)
    """The same, whose champion was rebuilt under the libraries of today; nobody may change it."""
    from signed_world import SignedWorld

    def rebuild(folder: Path) -> None:
        world = older_made.copy(folder / "w")
        with pytest.MonkeyPatch.context() as patch:
            world.settings(patch)
            world.rebuild()

    return SignedWorld(once("rebuilt", rebuild) / "w")


@pytest.fixture
def rebuilt_world(rebuilt_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of it, under its settings."""
    world = rebuilt_made.copy(tmp_path / "w")
    world.settings(monkeypatch)
    return world


@pytest.fixture
def signed_world(signed_made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A copy of it, under its settings."""
    world = signed_made.copy(tmp_path / "w")
    world.settings(monkeypatch)
    return world
