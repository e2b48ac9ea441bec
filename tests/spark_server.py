"""A Spark Connect server of a test's own, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def spark_server() -> Iterator[str]:
    """Run a server as long as the context, and give its URL; the test is skipped where Java or Spark are missing.

    Spark is that of ``SPARK_HOME``: a distribution, or the folder ``pyspark`` of an environment of its own with the package
    ``pyspark``, which can't be beside ``pyspark-client``.
    """
    submit = Path(os.environ.get("SPARK_HOME", "/none")) / "bin" / "spark-submit"
    if shutil.which("java") is None or not submit.exists():
        pytest.skip("needs Java, and SPARK_HOME: the folder of a Spark 4")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="spark-") as folder:
        settings = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": port,
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.sql.warehouse.dir": f"{folder}/warehouse",
        }
        command = [str(submit), "--master", "local[1]", "--driver-memory", "1g"]
        command += [word for name, value in settings.items() for word in ("--conf", f"{name}={value}")]
        command += ["--class", "org.apache.spark.sql.connect.service.SparkConnectServer", "spark-internal"]
        with Path(folder, "log").open("wb") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            for _ in range(240):
                with socket.socket() as asked:
                    if not asked.connect_ex(("127.0.0.1", port)):
                        break
                assert server.poll() is None, Path(folder, "log").read_text()[-2000:]
                time.sleep(0.5)
            yield f"sc://127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(30)
