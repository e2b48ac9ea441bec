"""The server as processes: who may reach it, TLS, dying workers, a real Prometheus, a real browser."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from include.config.settings import ROOT
from include.serving.access import new_token
from tests.include.serving.conftest import Process, World, as_json

Run = Callable[..., Process]
PROMETHEUS = shutil.which("prometheus")
CHROMIUM = shutil.which("chromium")


def predict(server: Process, row: dict[str, Any], client: httpx.Client, **more: Any) -> httpx.Response:
    return client.post(f"http://{server.address}/models/parcels/predict", json={"rows": [row]}, **more)


def refusal(server: Process) -> str:
    assert server.process.wait(timeout=60) == 1
    return server.log.read_text()


def test_an_address_that_others_reach_is_refused_without_tokens(process: Run) -> None:
    assert "Everybody could ask" in refusal(process("--host", "0.0.0.0"))


def test_with_tokens_others_may_reach_it(process: Run, world: World, tmp_path: Path) -> None:
    token, entry = new_token("shop", ["parcels"])
    (tmp_path / "tokens").write_text(json.dumps([entry]))
    server = process("--host", "0.0.0.0", RATCHET_SERVING_TOKENS=str(tmp_path / "tokens"))
    bearer = {"authorization": f"Bearer {token}"}
    server.wait_ready(headers=bearer)
    (row,) = as_json(world.rows(1))
    with httpx.Client() as client:
        assert predict(server, row, client).status_code == 401
        assert predict(server, row, client, headers=bearer).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["parcel"], {}, "did you mean `parcels`"),
        ([], {"RATCHET_SERVING_MAX_ROWS": "many"}, "RATCHET_SERVING_MAX_ROWS"),
        ([], {"RATCHET_SERVING_TOKENS": "/nowhere"}, "can't be read"),
        ([], {"RATCHET_SERVING_PLATFORM": "sagemakr"}, "sagemaker"),
    ],
)
def test_a_mistake_is_said_at_the_start(process: Run, arguments: list[str], environment: dict, said: str) -> None:
    assert said in refusal(process(*arguments, **environment))


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "c.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return tmp_path / "c.pem", tmp_path / "k.pem"


def test_tls_by_files(process: Run, world: World, certificate: tuple[Path, Path]) -> None:
    own, key = certificate
    server = process("--certificate", str(own), "--key", str(key))
    trust = ssl.create_default_context(cafile=own)
    address = f"https://localhost:{server.port}"
    deadline = time.monotonic() + 60
    with httpx.Client(verify=trust) as client:
        while True:
            try:
                if client.get(f"{address}/v2/health/ready").status_code == 200:
                    break
            except httpx.TransportError:
                assert server.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        answer = client.post(f"{address}/models/parcels/predict", json=as_json(world.rows(1)))
        assert answer.status_code == 200 and "max-age" in answer.headers["strict-transport-security"]
    with pytest.raises(httpx.TransportError), httpx.Client() as plain:
        plain.get(f"http://{server.address}/v2/health/live")


def test_a_key_that_is_not_the_certificates_is_refused(process: Run, certificate: tuple[Path, Path]) -> None:
    own, _ = certificate
    assert "certificate" in refusal(process("--certificate", str(own), "--key", str(own)))


def test_a_dead_worker_is_replaced_and_the_others_answer_on(process: Run, world: World) -> None:
    server = process("--workers", "2")
    server.wait_ready()
    (row,) = as_json(world.rows(1))
    first = server.workers()
    assert len(first) == 2
    first[0].kill()
    answered, deadline = 0, time.monotonic() + 30
    while answered < 20 or len(server.workers()) < 2:
        assert time.monotonic() < deadline
        try:
            with httpx.Client() as client:
                answered += predict(server, row, client).status_code == 200
        except httpx.TransportError:
            continue
    assert {one.pid for one in server.workers()} != {one.pid for one in first}
    assert server.end() == 0


_SIGNALLED = """
import os, signal, sys, time
from include.serving import worker
from include.serving.server import _Workers

def fork(fork=os.fork):
    pid = fork()
    if sys.argv[1] == "fork":
        if pid:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            time.sleep(0.5)  # a worker that is told to end before it has come to itself
    return pid

os.fork = fork
worker.check = lambda *facts: sys.argv[1] == "check" and os.kill(os.getpid(), signal.SIGTERM)
worker.run = lambda *facts: time.sleep(600)
_Workers([], None, None, None, None, None).run(3)
"""


@pytest.mark.parametrize("when", ["check", "fork"])
def test_a_signal_to_end_is_not_lost_while_workers_are_started(when: str) -> None:
    started = subprocess.Popen([sys.executable, "-c", _SIGNALLED, when], cwd=ROOT, start_new_session=True)
    try:
        assert started.wait(timeout=60) == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)


def test_workers_end_with_whoever_watches_them(process: Run) -> None:
    server = process()
    server.wait_ready()
    (worker,) = server.workers()
    server.process.kill()
    server.process.wait()
    assert worker.wait(timeout=30) is None or not worker.is_running()


def test_a_request_that_came_in_is_answered_before_the_end(process: Run, world: World) -> None:
    server = process()
    server.wait_ready()
    body = json.dumps({"rows": as_json(world.rows(100)) * 50}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        head = f"POST /models/parcels/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(0.05)
        server.process.terminate()
        assert connection.recv(15) == b"HTTP/1.1 200 OK"
    assert server.end() == 0


@pytest.mark.skipif(PROMETHEUS is None, reason="Debian's prometheus is not installed")
def test_a_real_prometheus_scrapes_the_numbers_of_all_workers(process: Run, world: World, tmp_path: Path) -> None:
    token, entry = new_token("prometheus", ["*"])
    (tmp_path / "tokens").write_text(json.dumps([entry]))
    (tmp_path / "token").write_text(token)
    server = process("--workers", "2", RATCHET_SERVING_TOKENS=str(tmp_path / "tokens"))
    bearer = {"authorization": f"Bearer {token}"}
    server.wait_ready(headers=bearer)
    answered, asked, deadline = 0, 0, time.monotonic() + 60
    (row,) = as_json(world.rows(1))
    while answered < 10:  # a worker that still loads says 503
        with httpx.Client() as client:
            status = predict(server, row, client, headers=bearer).status_code
        assert status == 200 or (status == 503 and time.monotonic() < deadline)
        answered, asked = answered + (status == 200), asked + 1
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs:\n"
        f"  - {{job_name: ratchet, scrape_interval: 1s, authorization: {{credentials_file: {tmp_path}/token}},"
        f" static_configs: [{{targets: ['{server.address}']}}]}}\n"
    )
    command = [str(PROMETHEUS), f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/tsdb"]
    with subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as prometheus:
        try:
            with httpx.Client() as client:

                def value(query: str) -> float | None:
                    try:
                        answer = client.get(f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}).json()
                    except (httpx.TransportError, ValueError):
                        return None
                    found = answer.get("data", {}).get("result", [])
                    return float(found[0]["value"][1]) if found else None

                wanted = {
                    "up": 1.0,
                    'sum(ratchet_serving_requests_total{model="parcels",route="predict",status="200"})': 10.0,
                    "sum(ratchet_serving_rows_total)": 10.0,
                    "sum(ratchet_serving_request_duration_seconds_count)": float(asked),
                    "max(ratchet_serving_champion_as_of_timestamp_seconds)": datetime(
                        2024, 7, 1, tzinfo=UTC
                    ).timestamp(),
                }
                deadline = time.monotonic() + 90
                while (found := {query: value(query) for query in wanted}) != wanted:
                    assert time.monotonic() < deadline, found
                    time.sleep(0.5)
        finally:
            prometheus.terminate()


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_real_browser_shows_the_page_of_the_api(process: Run) -> None:
    from playwright.sync_api import sync_playwright

    server = process()
    server.wait_ready()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("requestfailed", lambda request: said.append(request.url))
        page.goto(f"http://{server.address}/docs")
        assert page.get_by_role("heading", name="POST /models/parcels/predict").is_visible()
        example = json.loads(page.locator("pre").first.inner_text())
        browser.close()
    assert not [one for one in said if "favicon" not in one], said
    with httpx.Client() as client:
        answer = client.post(f"http://{server.address}/models/parcels/predict", json=example)
    assert answer.status_code == 200
