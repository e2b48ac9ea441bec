"""docker-compose.yaml, really brought up: two workers share a backfill, one is killed, the ledger is the same, the dashboard shows it."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from packaging.utils import canonicalize_name

from include.command_line.local_airflow.backfill import Progress, backfill
from include.command_line.local_airflow.rest_api import AirflowApi
from include.command_line.local_airflow.standalone import free_port
from include.config.load import load_model
from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.storage.content import get_json
from include.storage.local import LocalStore
from tests.chain_run import run_chain
from tests.compose.images import NotToBeHad, provide, public_names, variable

pytestmark = [pytest.mark.system, pytest.mark.compose, pytest.mark.timeout(3600)]

FIRST, LAST = datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 6, 1, tzinfo=UTC)
SOONER = {
    # As shipped it takes minutes until the tasks of a killed worker are tried again, and those that it had fetched and not begun
    # are given to another; a test need not wait that long.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 45,
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": 120,
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 15,
}
READ = """
import json, os, sys
from typing import Any
sys.path.append("/opt/airflow/plugins")
from include.registry.ledger import Ledger
from include.storage.content import get_json
from include.storage.opening import open_store
from ratchet_operators.connections import s3_client

{question}

client = s3_client(os.environ["RATCHET_STORE_CONNECTION"])
print("ANSWER" + json.dumps({name}(open_store(os.environ["RATCHET_STORE"], s3_client=lambda: client))))
"""


def facts(store: Any) -> list[Any]:
    """Return what the ledger says, but for versions' names, which tell the patch release of Python, and bounds, drawn by those names."""
    ledger, found = Ledger(store, "flight_delay"), []
    assert ledger.verify() == len(ledger.entries())
    registered = [entry.body["version"] for entry in ledger.entries() if entry.kind == "registered"]
    assert len(registered) == len(set(registered))
    for standing in ledger.timeline().standings:
        version = get_json(store, f"flight_delay/versions/{standing.version}.json")
        decision = standing.decision
        against = decision.incumbent and decision.incumbent.partition("-")[0]
        same = [version["as_of"], version["snapshot"], version["model_file"], version["candidate"]]
        found.append([*same, str(decision.outcome), against])
    return found


def decisions(store: Any) -> int:
    """Return how often it was decided; a run that overtook an earlier one is decided again, which depends on who was killed."""
    return sum(entry.kind == "decided" for entry in Ledger(store, "flight_delay").entries())


def compose_command() -> list[str] | None:
    """Return the command of whichever Compose is installed."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and _quiet([*command, "version"]):
            return command
    return None


def _quiet(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, cwd=ROOT, timeout=60).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def changed_services(images: dict[str, str]) -> dict[str, Any]:
    """Return what the test changes in docker-compose.yaml: how soon a killed worker is noticed, who reaches a package index, and BLAS.

    A matrix product's last digits depend on the kernel that OpenBLAS takes, by the processor or by a machine's own variables: the
    workers get those of this process, with whose models theirs are compared.
    """
    kernels = {name: value for name, value in os.environ.items() if name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
    changes: dict[str, Any] = {
        "airflow-scheduler": {"environment": SOONER},
        "airflow-worker": {"environment": kernels},
    }
    if images["airflow"] != public_names()["airflow"]:
        changes["airflow-init"] = {"build": {"network": "host"}}
    return changes


@dataclass
class Composed:
    """Containers of a project of their own."""

    command: list[str]
    environment: dict[str, str]
    api: AirflowApi

    def __call__(self, *arguments: str, **more: Any) -> str:
        done = subprocess.run(
            [*self.command, *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True, **more
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of Airflow's own commands, as `backfill` wants it."""
        command = [*self.command, "exec", "-T", "airflow-scheduler", "airflow", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)

    def of_store(self, question: Callable[[Any], Any]) -> Any:
        """Return what a function of this module finds in the deployment's store, where it is asked by a container."""
        script = READ.format(question=inspect.getsource(question), name=question.__name__)
        return json.loads(self("exec", "-T", "airflow-scheduler", "python", "-c", script).rpartition("ANSWER")[2])

    def check(self) -> None:
        """As `backfill` wants it; containers that end are started again by the engine."""

    def workers(self) -> set[str]:
        """Return the ids of the workers' containers that run; a container's host name is the start of its id."""
        return set(self("ps", "-q", "airflow-worker").split())


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    if not shutil.which("docker") or not _quiet(["docker", "info"]):
        pytest.skip("no container engine answers (docker info)")
    command = compose_command()
    if command is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    try:
        images = provide()
    except NotToBeHad as reason:
        pytest.skip(str(reason))
    name, port = f"ratchet-test-{secrets.token_hex(3)}", free_port(18080)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "RATCHET", "COMPOSE"))}
    environment = {
        **kept,
        "AIRFLOW_PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW_ADMIN_PASSWORD": secrets.token_urlsafe(12),
        "RATCHET_IMAGE": f"{name}:local",
        "RATCHET_METRICS": "True",
        **{variable(kind): image for kind, image in images.items()},
        "DOCKER_BUILDKIT": os.environ.get("DOCKER_BUILDKIT", "1" if command[0] == "docker" else "0"),
    }
    api = AirflowApi(port, "admin", environment["AIRFLOW_ADMIN_PASSWORD"], since=time.time())
    changes = tmp_path_factory.mktemp("compose") / "changes.yaml"
    changes.write_text(json.dumps({"services": changed_services(images)}))
    files = ["-f", "docker-compose.yaml", "-f", str(changes)]
    made = Composed([*command, "-p", name, *files], environment, api)
    made("build", "airflow-init", timeout=1800)
    try:
        # Not Grafana: what its dashboard asks is asked of Prometheus.
        made("up", "--detach", "otel-collector", "prometheus", timeout=1200)
        made("up", "--detach", "--scale", "airflow-worker=2", timeout=1200)
        yield made
    finally:
        made("--profile", "observability", "--profile", "serving", "down", "--volumes", "--timeout", "0", timeout=300)
        subprocess.run(["docker", "image", "rm", environment["RATCHET_IMAGE"]], capture_output=True)


def wait_until(true: Any, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(2)


def at_work(composed: Composed) -> dict[str, set[str]]:
    """Return which tasks each worker's container runs now."""
    running = composed.api.get("dags/~/dagRuns/~/taskInstances", state=["running"], limit=100)["task_instances"]
    return {
        worker: {task["task_id"] for task in running if task["hostname"] and worker.startswith(task["hostname"])}
        for worker in composed.workers()
    }


def reference(folder: Path) -> list[Any]:
    """Return what the ledger says after the same chain without Airflow, one month after the other."""
    store, models = LocalStore(folder / "store"), ROOT / "include" / "models" / "flight_delay"
    model = load_model(models / "model.yaml")
    for month in range(FIRST.month, LAST.month + 1):
        run_chain(store, model, models, FIRST.replace(month=month))
    return facts(store)


@dataclass
class Backfilled:
    """A backfill that two workers shared until one of them was killed."""

    since: float
    progress: Progress
    killed: list[str]
    undisturbed: list[Any]


@pytest.fixture(scope="module")
def backfilled(composed: Composed, tmp_path_factory: pytest.TempPathFactory) -> Backfilled:
    wait_until(lambda: composed.api.is_ready() and composed.api.is_parsed("retrain_flight_delay"), 600)
    wait_until(lambda: len(composed.workers()) == 2, 300)
    since = time.time()
    shared: set[str] = set()
    killed: list[str] = []
    undisturbed: list[Future[list[Any]]] = []

    def kill_in_the_middle(progress: Progress) -> None:
        tasks = at_work(composed)
        shared.update(worker for worker, running in tasks.items() if running)
        if not killed and len(shared) == 2:
            for worker, running in tasks.items():
                if "train" in running and not killed:
                    subprocess.run(["docker", "kill", worker], check=True, capture_output=True)
                    killed.append(worker)
                    # There is time for it now, until the kill is noticed.
                    undisturbed.append(pool.submit(reference, tmp_path_factory.mktemp("undisturbed")))

    with ThreadPoolExecutor() as pool:
        progress = backfill(composed, "retrain_flight_delay", FIRST, LAST, at_once=2, show=kill_in_the_middle)  # type: ignore[arg-type]
    assert len(killed) == 1, "both workers had tasks, and one was killed while it trained"
    return Backfilled(since, progress, killed, undisturbed[0].result())


def test_a_worker_killed_in_mid_run_changes_nothing_in_the_ledger(composed: Composed, backfilled: Backfilled) -> None:
    assert not backfilled.progress.unsuccessful, backfilled.progress.failed
    assert len(backfilled.progress.runs) == 2

    found = composed.of_store(facts)
    assert len(found) == 2
    assert found == backfilled.undisturbed


def test_a_persons_commands_read_the_ledger_in_any_container(composed: Composed, backfilled: Backfilled) -> None:
    for service in ("airflow-scheduler", "airflow-apiserver"):
        said = composed("exec", "-T", service, "python", "-m", "include", "history", "flight_delay")
        assert "20130601T000000Z" in said


def test_the_image_passes_pip_check_and_holds_no_more_than_its_pins(composed: Composed) -> None:
    assert "No broken requirements found" in composed("exec", "-T", "airflow-scheduler", "pip", "check")
    listed = composed("exec", "-T", "airflow-scheduler", "pip", "list", "--format=freeze").split()
    pinned = (ROOT / "requirements-cluster.txt").read_text().splitlines()
    named = {tuple(re.split("==| ;", line)[:2]) for line in pinned if "==" in line}
    found = {(canonicalize_name(name), version) for name, _, version in (line.partition("==") for line in listed)}
    assert {pair for pair in found if pair[0] not in ("pip", "setuptools")} <= named


def test_the_bill_of_the_image_holds_every_package_and_its_archives_are_those_of_the_hashes(composed: Composed) -> None:
    written = re.search(
        r"^docker-compose (run .+ sbom .+) > ", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE
    )
    assert written
    bill = [one for one in json.loads(composed(*written[1].split()))["components"] if "hashes" in one]
    listed = composed("exec", "-T", "airflow-scheduler", "pip", "list", "--format=freeze", "--exclude=pip").split()
    assert {f"{canonicalize_name(one['name'])}=={one['version']}" for one in bill} == {
        f"{canonicalize_name(name)}=={version}" for name, _, version in (line.partition("==") for line in listed)
    }
    named = "".join((ROOT / "hashes" / name).read_text() for name in ("build.txt", "cluster.txt"))
    assert all(f"--hash=sha256:{one['hashes'][0]['content']}" in named for one in bill)


def test_a_worker_sees_keys_and_no_password_of_a_person(composed: Composed) -> None:
    look = "ls /opt/airflow/secrets; cat /opt/airflow/passwords/* /opt/airflow/secrets/passwords.json; env"
    seen = ""
    for worker in ("1", "2"):  # one of them was killed
        with contextlib.suppress(AssertionError):
            seen += composed("exec", "-T", "--index", worker, "airflow-worker", "sh", "-c", f"{look} || true")
    assert "fernet_key" in seen and composed.environment["AIRFLOW_ADMIN_PASSWORD"] not in seen
    there = composed("exec", "-T", "airflow-apiserver", "cat", "passwords/passwords.json", "passwords/grafana")
    assert composed.environment["AIRFLOW_ADMIN_PASSWORD"] in there
    assert len(there.splitlines()[-1]) >= 12, "Grafana's is made up"


def asked(composed: Composed, query: str, since: float) -> list[tuple[dict[str, str], list[float]]]:
    """Return the lines that a panel of the dashboard would draw at its finest, by their labels."""
    filled = query.replace("$__rate_interval", "60s").replace("$__interval", "15s")
    data = {"query": filled, "start": f"{since:.0f}", "end": f"{time.time():.0f}", "step": "15"}
    options = [part for name, value in data.items() for part in ("--data-urlencode", f"{name}={value}")]
    address = "http://prometheus:9090/api/v1/query_range"
    answer = json.loads(composed("exec", "-T", "airflow-scheduler", "curl", "--silent", *options, address))
    assert answer["status"] == "success", answer
    return [(line["metric"], [float(value) for _, value in line["values"]]) for line in answer["data"]["result"]]


def test_every_panel_of_the_dashboard_shows_what_happened(composed: Composed, backfilled: Backfilled) -> None:
    dashboard = json.loads((ROOT / "observability" / "grafana" / "ratchet.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    finished = next(query for query in queries if "ti_finish" in query)

    def counted(query: str, **labels: str) -> float:
        lines = asked(composed, query, backfilled.since)
        return sum(sum(values) for metric, values in lines if metric.items() >= labels.items())

    found = composed.api.get("dags/~/dagRuns/~/taskInstances", state=["success"], limit=100)["task_instances"]
    # A series is a process. In the killed worker, which the engine starts again under its name, numbers of processes come
    # again, so what such a process counts to can't be told from what the earlier one did.
    (killed,) = backfilled.killed
    lost = sum(
        killed.startswith(one["hostname"]) or one["hostname"].startswith(killed) for one in found if one["hostname"]
    )
    assert lost < len(found), "the other worker had tasks"
    # Each task is a process that counts to one and ends; Prometheus fetches every 15 s.
    wait_until(lambda: counted(finished, state="success") >= len(found) - lost, 180)
    assert counted(finished, state="success") <= len(found)
    # The panels of watching are asked in tests/deployment/test_alerts.py: nothing is watched here.
    for query in (
        query for query in queries if "airflow_" in query and "audit" not in query
    ):  # no model here is audited
        assert asked(composed, query, backfilled.since), query
    decided = next(query for query in queries if "decisions" in query)
    assert 0 < counted(decided, model="flight_delay") <= composed.of_store(decisions)


def test_the_same_image_serves_what_the_backfill_promoted(composed: Composed, backfilled: Backfilled) -> None:
    composed("--profile", "serving", "up", "--detach", "serving", timeout=600)
    script = 'curl --silent --header "Authorization: Bearer $(cat secrets/serving_token)" http://serving:8500/models'

    def asked_of_it() -> dict[str, Any]:
        answer = composed("exec", "-T", "airflow-scheduler", "bash", "-c", f"{script} || true")
        models = json.loads(answer or '{"models": []}')["models"]
        return next((one for one in models if one["name"] == "flight_delay"), {})

    wait_until(lambda: asked_of_it().get("version"), 180)
    as_of = {facts[0] for facts in backfilled.undisturbed if facts[4] == "PROMOTE"}
    assert asked_of_it()["as_of"] in as_of
    plain = composed("exec", "-T", "airflow-scheduler", "curl", "--silent", "http://serving:8500/models")
    assert "not known" in plain
