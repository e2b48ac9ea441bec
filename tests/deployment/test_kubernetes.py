"""The Helm values give the code what it needs: the same settings, the image's places, secrets by reference, no rights to spare."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from include.command_line.local_airflow.environment import shared_settings
from include.config.settings import ROOT, Settings
from include.serving.app import LIVE
from include.serving.settings import ServingSettings

VALUES: dict[str, Any] = yaml.safe_load((ROOT / "kubernetes" / "values.yaml").read_text())
ENVIRONMENT = {variable["name"]: variable["value"] for variable in VALUES["env"]}
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()


def test_the_settings_are_those_of_every_set_up() -> None:
    shared = shared_settings()
    assert {name: value for name, value in ENVIRONMENT.items() if name in shared} == shared
    assert all(isinstance(value, str) for value in ENVIRONMENT.values()), "Kubernetes takes texts only"


def test_the_code_is_found_where_the_image_has_it() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"ENV PYTHONPATH={ENVIRONMENT['PYTHONPATH']}\n" in dockerfile
    for folder in ("dags", "plugins", "include"):
        assert f"COPY --chown=airflow:0 {folder} {ENVIRONMENT['PYTHONPATH']}/{folder}\n" in dockerfile
    assert VALUES["config"]["core"]["dags_folder"] == f"{ENVIRONMENT['PYTHONPATH']}/dags"
    assert dockerfile.partition(":-apache/airflow:")[2].startswith(f"{VALUES['airflowVersion']}-")
    assert "apache-airflow-providers-cncf-kubernetes==" in (ROOT / "requirements-cluster.txt").read_text()


def test_every_setting_of_ours_is_one_that_the_code_reads() -> None:
    sources = "".join(path.read_text() for folder in ("include", "plugins") for path in (ROOT / folder).rglob("*.py"))
    ours = [name for name in ENVIRONMENT if name.startswith("RATCHET_")]
    assert {"RATCHET_STORE", "RATCHET_STORE_CONNECTION"} <= set(ours)
    assert all(f'"{name}"' in sources for name in ours)


def test_the_store_is_one_that_pods_share_and_its_connection_comes_from_a_secret(monkeypatch: Any) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_environment()
    assert settings.store.startswith("s3://")
    connections = {secret["envName"]: secret for secret in VALUES["secret"]}
    name = f"AIRFLOW_CONN_{(settings.store_connection or '').upper()}"
    assert connections[name]["secretName"] in PAGE
    assert name not in ENVIRONMENT


def test_every_secret_that_is_named_is_made_on_the_page_and_none_is_in_the_file() -> None:
    named = {secret["secretName"] for secret in VALUES["secret"]} | {VALUES["data"]["metadataSecretName"]}
    named |= {value for name, value in VALUES.items() if name.endswith("SecretName")}
    # That of the signing key is asked for only by who signs.
    assert set(re.findall(r"create secret generic (\S+)", PAGE)) == named | {"ratchet-signing"}
    text = (ROOT / "kubernetes" / "values.yaml").read_text()
    assert "://" not in re.sub(
        r"s3://your-bucket|https://airflow\.example\.com|postgresql\+psycopg2://\.{3}", "", text
    ), "an address may hold a password"
    assert not re.search(r"(?i)(password|aws_secret_access_key)\W", text)


def test_nobody_is_admin_with_the_password_admin() -> None:
    # The chart has moved the switch: a value by the other name is passed over.
    for place in ("webserver", "createUserJob"):
        assert VALUES[place] == {"defaultUser": {"enabled": False}}
    assert "airflow users create --username ada" in PAGE
    manager = VALUES["config"]["core"]["auth_manager"].partition(".auth_manager.")[0]
    assert manager == "airflow.providers.fab"
    assert "\napache-airflow-providers-fab==" in (ROOT / "requirements-cluster.txt").read_text(), "it is in the image"


def pins(name: str) -> dict[str, list[str]]:
    """Return the lines of a requirements file, by package."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.lstrip().startswith("#"):
            found.setdefault(re.split(r"[ =;]", line)[0], []).append(line)
    return found


def needed(name: str, extras: frozenset[str], seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return a package and everything that it needs, as installed here, with the extra that each was asked for with."""
    for extra in extras | {""}:
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        with suppress(PackageNotFoundError):
            for text in requires(name) or ():
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                    needed(canonicalize_name(requirement.name), frozenset(requirement.extras), seen)
    return seen


def test_what_is_installed_on_astronomer_leaves_the_runtimes_own_airflow_alone() -> None:
    ours, all_pins = pins("requirements-astronomer.txt"), pins("requirements.txt")
    found: set[tuple[str, str]] = set()
    for name in all_pins:
        if name.startswith("apache-airflow"):
            needed(name, frozenset(), found)
    of_airflow = {name for name, _ in found}
    providers = {name for name in ours if name.startswith("apache-airflow")}
    assert providers == {name for name in all_pins if name.startswith("apache-airflow-providers-")}
    assert all(ours[name] == [name] for name in providers), "of whatever version the Runtime has"
    assert not of_airflow & (set(ours) - providers)
    assert all(ours[name] == all_pins[name] for name in set(ours) - providers)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {
        canonicalize_name(Requirement(text).name)
        for text in [*project["dependencies"], *project["optional-dependencies"]["airflow"]]
    }
    assert direct <= set(ours) | of_airflow, "everything that the code imports is there"
    assert "(../requirements-astronomer.txt)" in PAGE


def test_a_pod_has_no_rights_that_it_does_not_need_and_time_to_end() -> None:
    security = VALUES["securityContexts"]
    assert security["pod"]["runAsNonRoot"] is True
    assert security["containers"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert VALUES["workers"]["terminationGracePeriodSeconds"] >= 600
    assert VALUES["executor"] == "KubernetesExecutor"


def test_the_example_of_resources_is_valid() -> None:
    from include.config.sections.resources import Resources

    (text,) = re.findall(r"```yaml\n(resources:.*?)```", PAGE, re.DOTALL)
    resources = Resources.model_validate(yaml.safe_load(text)["resources"])
    train = resources.of("train")
    assert (train.pool, train.queue, train.priority) == ("training", "large", 5)
    assert train.pod and train.pod.memory == "16Gi"


SERVING = {one["kind"]: one for one in yaml.safe_load_all((ROOT / "kubernetes" / "serving.yaml").read_text())}


def test_the_servers_manifest_names_what_the_server_has() -> None:
    pod = SERVING["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][:4] == ["python", "-m", "include", "serve"]
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    fields = {f"RATCHET_SERVING_{name.upper()}" for name in ServingSettings.__dataclass_fields__}
    assert {name for name in environment if name.startswith("RATCHET_SERVING")} <= fields
    assert container["livenessProbe"]["httpGet"]["path"] == container["startupProbe"]["httpGet"]["path"] == LIVE
    probe = container["readinessProbe"]["exec"]["command"][-1]
    assert "/v2/health/ready" in probe and "Bearer $(cat /secrets/probe)" in probe
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert environment["RATCHET_SERVING_TOKENS"].startswith("/secrets/") and mounts["/secrets"] == "secrets"
    secret = next(volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume)
    assert f"create secret generic {secret}" in (ROOT / "docs" / "serving.md").read_text()


def test_the_servers_pods_have_no_rights_to_spare_and_scale() -> None:
    pod = SERVING["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["terminationGracePeriodSeconds"] > ServingSettings().timeout_seconds
    scaled = SERVING["HorizontalPodAutoscaler"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == SERVING["Deployment"]["metadata"]["name"]
    assert scaled["minReplicas"] > SERVING["PodDisruptionBudget"]["spec"]["minAvailable"]
    labels = SERVING["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert SERVING["Service"]["spec"]["selector"] == labels


def test_signing_is_switched_on_by_values_alone_and_reaches_pods_and_the_server() -> None:
    server = next(yaml.safe_load_all((ROOT / "kubernetes" / "serving.yaml").read_text()))["spec"]["template"]["spec"]
    (serving,) = server["containers"]
    told = {one["name"]: one["value"] for one in serving["env"]}
    names = {"RATCHET_TRUSTED_KEYS", "RATCHET_SIGNING_KEY", "RATCHET_SIGNING_CONNECTION", "RATCHET_ANCHORS"}
    assert {ENVIRONMENT[name] for name in names} == {""} and {"RATCHET_TRUSTED_KEYS", "RATCHET_ANCHORS"} <= set(told)
    (file,) = set(re.findall(r"`(/\S+/keys\.json)`", PAGE))
    for mounts, volumes in (
        (VALUES["volumeMounts"], VALUES["volumes"]),
        (serving["volumeMounts"], server["volumes"]),
    ):
        (mount,) = (one for one in mounts if one["mountPath"] == file.rpartition("/")[0])
        (volume,) = (one for one in volumes if one["name"] == mount["name"])
        assert mount["readOnly"] is True
        assert volume["configMap"] == {"name": "ratchet-trusted-keys", "optional": True}
    assert "create configmap ratchet-trusted-keys --from-file=keys.json" in PAGE
