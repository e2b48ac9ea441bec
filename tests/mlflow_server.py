"""An MLflow server of a test's own, in an environment of its own: its requirements and Airflow's do not meet."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from once import Once


@contextmanager
def mlflow_server(once: Once) -> Iterator[str]:
    """Run a server as long as the context and yield its address; the test is skipped where it can't be had."""
    command = os.environ.get("RATCHET_TEST_MLFLOW") or str(once("mlflow", _install) / "own" / "bin" / "mlflow")
    with tempfile.TemporaryDirectory(prefix="mlflow-") as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        server = subprocess.Popen(
            [command, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
             "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"],
            cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait(address, server)
            yield address
        finally:
            os.killpg(server.pid, 9)
            server.wait()


def _install(folder: Path) -> None:
    """Make an environment with a command `mlflow`."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv, or RATCHET_TEST_MLFLOW with the path of a command `mlflow`")
    for arguments in (["venv", "--python", sys.executable, "own"], ["pip", "install", "--python", "own", "mlflow>=3"]):
        made = subprocess.run(
            [uv, *arguments], cwd=folder, env=_environment(), capture_output=True, text=True, timeout=300
        )
        if made.returncode:
            pytest.skip(f"mlflow can't be installed here: {made.stderr.strip().splitlines()[-1]}")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "VIRTUAL_ENV"))}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(1500):
        assert server.poll() is None, "mlflow server ended"
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("mlflow server does not answer")
