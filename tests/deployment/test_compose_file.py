"""docker-compose.yaml promises: nobody but this machine gets in, containers may do little, tasks are let to end, health is visible."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.command_line.compose_setup import prepare
from include.command_line.local_airflow.environment import shared_settings
from include.config.settings import ROOT
from include.errors import ConfigError
from include.serving.access import Access
from include.serving.settings import ServingSettings

DECLARED: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())
SERVICES: dict[str, Any] = DECLARED["services"]
AIRFLOW = {name: service for name, service in SERVICES.items() if name.startswith("airflow-")}
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer", "celery worker")


def test_it_has_every_component_and_each_shows_its_health() -> None:
    commands = {service["command"] for name, service in AIRFLOW.items() if name != "airflow-init"}
    assert commands == set(COMPONENTS)
    without = {
        name for name, service in SERVICES.items() if "healthcheck" not in service and not service.get("profiles")
    }
    assert without == {"airflow-init"}


def test_nothing_is_published_but_on_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("${RATCHET_BIND:-127.0.0.1}:") for port in ports)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_an_init_and_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service.get("cap_add", ())) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    if name in AIRFLOW:
        assert service["user"] == "50000:0"
        assert "cap_add" not in service


def test_the_server_is_the_same_image_with_a_token_and_writes_to_no_disk() -> None:
    serving = SERVICES["serving"]
    assert serving["image"] == AIRFLOW["airflow-worker"]["image"]
    assert serving["user"] == "50000:0" and serving["read_only"] is True and "cap_add" not in serving
    assert serving["environment"]["RATCHET_SERVING_TOKENS"] == "/opt/airflow/secrets/serving_tokens.json"
    assert all(volume.endswith(":ro") for volume in serving["volumes"])
    assert serving["healthcheck"]["test"][-1].endswith("/v2/health/live")


@pytest.mark.parametrize(
    "name", [name for name in SERVICES if name not in AIRFLOW and name not in ("serving", "metrics")]
)
def test_an_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[\w./-]+:v?\d+(\.\d+)*\}", SERVICES[name]["image"])


def test_the_image_is_that_of_the_pinned_airflow() -> None:
    pinned = re.search(r"^apache-airflow==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert pinned
    assert f"\nFROM ${{AIRFLOW_IMAGE:-apache/airflow:{pinned[1]}-python3.11}}\n" in (ROOT / "Dockerfile").read_text()
    ours, image = (
        {line.partition(" ;")[0] for line in (ROOT / name).read_text().splitlines()}
        for name in ("requirements.txt", "requirements-cluster.txt")
    )
    assert ours <= image, "make requirements"


def test_what_the_image_copies_is_sent_to_its_build() -> None:
    _, *sent = (line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith(("#", "**")))
    copied = re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = {name.partition("/")[0] for line in copied for name in line.split()}
    assert names and names == {line.removeprefix("!") for line in sent}


def test_settings_of_every_set_up_are_in_one_place() -> None:
    shared = shared_settings()
    assert shared["AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME"] == "0.25"
    assert int(shared["AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS"]) > 3
    for service in AIRFLOW.values():
        assert service["env_file"] == "airflow.env"
        assert not set(service["environment"]) & set(shared)


def test_what_signs_and_who_is_trusted_reaches_every_process_that_reads_a_ledger() -> None:
    read, write = ("RATCHET_TRUSTED_KEYS", "RATCHET_ANCHORS"), ("RATCHET_SIGNING_KEY", "RATCHET_SIGNING_CONNECTION")
    for name, service in SERVICES.items():
        told = service.get("environment", {})
        if "RATCHET_STORE" in told:
            wanted = (*read, *write) if name in AIRFLOW else read
            assert {one: told.get(one) for one in wanted} == {one: f"${{{one}:-}}" for one in wanted}, name
            assert any(volume.startswith("secrets:/opt/airflow/secrets") for volume in service["volumes"]), name


def test_a_worker_lets_its_tasks_end() -> None:
    assert AIRFLOW["airflow-worker"]["stop_grace_period"] == "${WORKER_GRACE:-10m}"


def test_every_variable_has_a_value_that_works_and_is_in_the_example() -> None:
    text = (ROOT / "docker-compose.yaml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    assert used == set(re.findall(r"(?<!\$)\$\{(\w+):-[^}]*\}", text))
    example = (ROOT / ".env.example").read_text()
    assert used - {"RATCHET_IMAGE"} == set(re.findall(r"^#(\w+)=", example, re.MULTILINE)) - {"COMPOSE_PROFILES"}
    assert all(line.startswith("#") or not line for line in example.splitlines()), "a copy of it changes nothing"


def test_compose_reads_it(tmp_path: Path) -> None:
    command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
    if not shutil.which(command[0]) or subprocess.run([*command, "version"], capture_output=True).returncode:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    for files in (["docker-compose.yaml"], ["docker-compose.yaml", "docker-compose.develop.yaml"]):
        chosen = [part for file in files for part in ("-f", file)]
        done = subprocess.run([*command, *chosen, "config", "--quiet"], cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")


PASSWORDS = {"POSTGRES_PASSWORD": "a1", "REDIS_PASSWORD": "b2", "AWS_SECRET_ACCESS_KEY": "c3"}


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.168.1.7", "::", "airflow.example.com"])
def test_a_known_password_is_refused_wherever_other_machines_reach_it(tmp_path: Path, bind: str) -> None:
    for name, known in (("POSTGRES_PASSWORD", "ratchet"), ("AWS_SECRET_ACCESS_KEY", "ratchet-localhost")):
        with pytest.raises(ConfigError, match="passwords that everybody knows"):
            prepare(tmp_path, "file:///store", {"RATCHET_BIND": bind, **PASSWORDS, name: known})
        assert not (tmp_path / "secrets").exists()
    prepare(tmp_path, "file:///store", {"RATCHET_BIND": bind, **PASSWORDS})


def test_a_first_start_that_was_killed_while_it_wrote_the_token_is_made_good(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("serving_token", "serving_tokens.json"):
        (tmp_path / "secrets" / name).touch()
    prepare(tmp_path, "file:///store", {})
    access = Access(ServingSettings(tokens=tmp_path / "secrets" / "serving_tokens.json"))
    token = (tmp_path / "secrets" / "serving_token").read_text()
    assert access.caller(f"Bearer {token}", datetime.now(UTC)) is not None


def kept(folder: Path) -> dict[str, str]:
    return {f"{path.parent.name}/{path.name}": path.read_text() for path in folder.glob("*/*")}


def test_keys_and_passwords_are_made_at_first_start_and_stay(tmp_path: Path) -> None:
    prepare(tmp_path, "file:///store", {})
    first = kept(tmp_path)
    keys = {"secrets/fernet_key", "secrets/jwt_secret", "secrets/secret_key"}
    own = {"secrets/serving_token", "secrets/serving_tokens.json"}
    assert set(first) == keys | own | {"passwords/passwords.json", "passwords/grafana"}
    assert len(json.loads(first["passwords/passwords.json"])["admin"]) >= 12 and len(first["passwords/grafana"]) >= 12
    caller = Access(ServingSettings(tokens=tmp_path / "secrets" / "serving_tokens.json")).caller(
        f"Bearer {first['secrets/serving_token']}", datetime.now(UTC)
    )
    assert caller is not None and caller.may("flight_delay")
    assert first["secrets/serving_token"] not in first["secrets/serving_tokens.json"]
    prepare(tmp_path, "file:///store", {"RATCHET_BIND": "127.0.0.1"})
    assert kept(tmp_path) == first
    prepare(tmp_path, "file:///store", {"AIRFLOW_ADMIN_PASSWORD": "chosen", "GRAFANA_PASSWORD": "another"})
    assert json.loads(kept(tmp_path)["passwords/passwords.json"]) == {"admin": "chosen"}
    assert kept(tmp_path)["passwords/grafana"] == "another"
    commands = " ".join(
        str(value) for name, value in AIRFLOW["airflow-worker"]["environment"].items() if name.endswith("_CMD")
    )
    assert all(name in commands for name in keys)


def test_a_password_is_read_by_whom_it_is_for_and_nobody_else(tmp_path: Path) -> None:
    prepare(tmp_path, "file:///store", {})
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "passwords").iterdir()}
    assert modes == {"passwords.json": 0o600, "grafana": 0o640}
    sees = {name for name, service in SERVICES.items() if any("passwords:" in v for v in service.get("volumes", ()))}
    assert sees == {"airflow-init", "airflow-apiserver", "grafana"}
    named = {
        name for name, service in AIRFLOW.items() if any("PASSWORDS_FILE" in key for key in service["environment"])
    }
    assert named == {"airflow-apiserver"}


def test_the_password_of_a_release_before_goes_where_workers_do_not_see_it(tmp_path: Path) -> None:
    for folder in ("secrets", "passwords"):
        (tmp_path / folder).mkdir()
    (tmp_path / "secrets" / "passwords.json").write_text('{"admin": "as it was"}\n')
    prepare(tmp_path, "file:///store", {})
    assert json.loads(kept(tmp_path)["passwords/passwords.json"]) == {"admin": "as it was"}
    assert "secrets/passwords.json" not in kept(tmp_path)


@pytest.mark.parametrize("name", ["AIRFLOW_ADMIN_PASSWORD", "GRAFANA_PASSWORD"])
def test_nobody_is_admin_with_the_password_admin(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="would have the password `admin`"):
        prepare(tmp_path, "file:///store", {name: "admin"})
    grafana = SERVICES["grafana"]
    assert "GF_SECURITY_ADMIN_PASSWORD" not in grafana["environment"], "empty, it would be admin"
    (file,) = (value for key, value in grafana["environment"].items() if key == "GF_SECURITY_ADMIN_PASSWORD__FILE")
    assert any(
        volume.startswith("passwords:") and file.startswith(volume.split(":")[1]) for volume in grafana["volumes"]
    )
    assert grafana["depends_on"]["airflow-init"] == {"condition": "service_completed_successfully"}


def test_the_address_that_people_use_is_set_in_one_place() -> None:
    for service in AIRFLOW.values():
        assert service["environment"]["AIRFLOW__API__BASE_URL"] == "${BASE_URL:-http://localhost:8080}"


def test_the_image_is_an_environment_of_its_own_for_the_pins() -> None:
    # tests/deployment/test_supply_chain.py runs the command that installs them.
    text = (ROOT / "Dockerfile").read_text()
    environment, install = text.index("python -m venv"), text.index("RUN pip install")
    assert environment < text.index("ENV PATH=/home/airflow/ratchet/bin:") < install


def test_the_root_is_a_bundle_whose_dag_files_are_those_in_dags() -> None:
    from airflow.utils.file import list_py_file_paths

    found = {Path(path).relative_to(ROOT) for path in list_py_file_paths(str(ROOT), safe_mode=False)}
    assert found == {path.relative_to(ROOT) for path in (ROOT / "dags").glob("*.py")}
