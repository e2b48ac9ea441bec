"""One real Airflow with a filled store for all browser tests, and a browser that is logged in as whom a test wants."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow_site import LONG, ROLES, Site
from histories import tell
from watched import Watched, april  # noqa: F401 (a fixture)

from include.command_line.local_airflow import process_group
from include.command_line.local_airflow.environment import airflow_environment
from include.command_line.local_airflow.standalone import free_port
from include.config.load import load_model
from include.config.settings import ROOT
from include.storage.local import LocalStore


@pytest.fixture(scope="session")
def site(
    tmp_path_factory: pytest.TempPathFactory,
    april: Path,  # noqa: F811 (a fixture)
    migrated: Callable[[Path], Path],
) -> Iterator[Site]:
    """Airflow's API server and DAG processor over a store that holds nine versions, and a model that was watched for two weeks."""
    folder = tmp_path_factory.mktemp("site")
    models, home, port = folder / "models", migrated(folder / "home"), free_port(8123)
    for name in ("flight_delay", LONG):
        shutil.copytree(
            ROOT / "include" / "models" / "flight_delay", models / name, ignore=shutil.ignore_patterns("__pycache__")
        )
        text = (models / name / "model.yaml").read_text().replace("name: flight_delay", f"name: {name}")
        (models / name / "model.yaml").write_text(text)
    store = LocalStore(folder / "store")
    versions = tell(store, load_model(models / "flight_delay" / "model.yaml"), versions=9, withdraw=8)
    shutil.copytree(april / "store", folder / "store", dirs_exist_ok=True)
    shutil.copytree(april / "parcels", models / "parcels")
    watched = Watched(models / "parcels", store, load_model(models / "parcels" / "model.yaml"))
    for number in range(1, 15):
        watched.monitor(number)
    passwords = home / "secrets" / "passwords.json"
    passwords.parent.mkdir(parents=True)
    passwords.write_text(json.dumps({user: f"{user}-password" for user in ROLES}))
    environment = {
        **airflow_environment(home, port),
        "RATCHET_STORE": (folder / "store").as_uri(),
        "RATCHET_MODELS": str(models),
        # Parsed once: what a test breaks for a moment is the page's business only.
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in ROLES.items()),
    }
    airflow, logs = [sys.executable, "-m", "airflow"], folder / "logs"
    logs.mkdir()
    wanted = {
        "logs": str(logs),
        "first": [],
        "together": {"api-server": [*airflow, "api-server"], "dag-processor": [*airflow, "dag-processor"]},
    }
    process = subprocess.Popen(
        [sys.executable, "-m", process_group.__name__, json.dumps(wanted)],
        cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        running = Site(f"http://127.0.0.1:{port}", {}, store, models, versions)
        _wait(process, logs, lambda: running.ask("/api/v2/version")[0] == 200)
        for user in ROLES:
            login = {"username": user, "password": f"{user}-password"}
            running.tokens[user] = json.loads(running.ask("/auth/token", method="POST", body=login)[2])["access_token"]
        wanted_dags = [f"retrain_{name}" for name in ("flight_delay", LONG, "parcels")]
        _wait(
            process,
            logs,
            lambda: all(running.ask(f"/api/v2/dags/{dag}/details", user="admin")[0] == 200 for dag in wanted_dags),
        )
        yield running
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if process.wait() < 0:
            process_group.end_session(process.pid)


def _wait(process: subprocess.Popen[bytes], logs: Path, ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        assert process.poll() is None, "\n".join(path.read_text()[-2000:] for path in logs.glob("*.log"))
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.3)
    raise AssertionError("\n".join(path.read_text()[-2000:] for path in logs.glob("*.log")))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; tests that need it are skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (`make test` installs it)")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("there is no chromium on this machine: install Debian's package `chromium`")
    with api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page_of(chromium: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """Open a page as a user; what its console complains about fails the test."""
    contexts, complaints = [], []

    def opened(user: str, path: str, *, theme: str = "light", width: int = 1280) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        context.set_default_timeout(180_000)
        contexts.append(context)
        context.add_cookies([{"name": "_token", "value": site.tokens[user], "url": site.address}])
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(site.address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The source of axe-core, from npm."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm on this machine, from which axe-core would come")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(
        [npm, "pack", "--silent", "axe-core@4"], cwd=folder, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        pytest.skip(f"npm gives no axe-core: {done.stderr.strip()[-200:]}")
    shutil.unpack_archive(next(folder.glob("axe-core-*.tgz")), folder)
    return (folder / "package" / "axe.min.js").read_text()
