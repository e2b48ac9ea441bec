"""`python -m include sbom` lists what is installed: as the schema of CycloneDX has it, with hashes that pip reported."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.settings import ROOT
from include.errors import ConfigError
from tests.deployment.test_supply_chain import wheel


def printed(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(app, ["sbom", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    made: dict[str, Any] = json.loads(done.output)
    return made


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    return printed()


def test_it_is_what_the_schema_of_cyclonedx_allows(here: dict[str, Any]) -> None:
    validation = pytest.importorskip(
        "cyclonedx.validation.json", reason="cyclonedx-python-lib, of requirements-dev.txt, is not installed"
    )
    from cyclonedx.schema import SchemaVersion

    validator = validation.JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(here)) is None
    broken = {**here, "components": [{**here["components"][0], "type": "nonsense"}]}
    assert validator.validate_str(json.dumps(broken)) is not None, "the schema would take anything"


def test_it_lists_each_package_of_python_once_with_its_licence(here: dict[str, Any]) -> None:
    packages = {one["name"]: one for one in here["components"] if one.get("purl", "").startswith("pkg:pypi/")}
    installed = {one.metadata["Name"]: one.version for one in distributions()}
    assert {name: one["version"] for name, one in packages.items()} == installed and len(packages) > 100
    assert packages["scikit-learn"]["licenses"] == [{"expression": "BSD-3-Clause"}]
    assert packages["skops"]["purl"] == f"pkg:pypi/skops@{version('skops')}"
    assert sum("licenses" in one for one in packages.values()) > 0.9 * len(packages)
    refs = [one["bom-ref"] for one in here["components"]]
    assert len(refs) == len(set(refs)) and here["dependencies"] == [{"ref": "ratchet", "dependsOn": refs}]
    (python,) = (one for one in here["components"] if one["name"] == "python")
    assert sys.version.startswith(python["version"])


def test_it_lists_the_packages_of_debian(here: dict[str, Any]) -> None:
    if not shutil.which("dpkg-query"):
        pytest.skip("dpkg keeps no packages here")
    listed = subprocess.run(["dpkg", "--get-selections"], capture_output=True, text=True, check=True).stdout.split("\n")
    installed = {
        name.partition(":")[0]
        for name, _, state in (line.partition("\t") for line in listed)
        if "install" in state.split()
    }
    packages = {one["name"]: one for one in here["components"] if one.get("purl", "").startswith("pkg:deb/")}
    assert set(packages) == installed
    assert {"operating-system"} <= {one["type"] for one in here["components"]}
    asked = ["dpkg-query", "--show", "--showformat=${Version} ${Architecture}", "dpkg"]
    number, machine = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    assert packages["dpkg"]["version"] == number and f"?arch={machine}&distro=" in packages["dpkg"]["purl"]


def test_it_is_the_same_as_long_as_the_same_is_installed(here: dict[str, Any]) -> None:
    assert printed() == here


def test_an_archives_hash_is_that_which_pip_reported(tmp_path: Path) -> None:
    """In an environment as the Dockerfile makes it, which sees this one's packages by a path."""
    environment, index = tmp_path / "image", tmp_path / "index"
    index.mkdir()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    needed = wheel(index, "reported")
    (tmp_path / "pins.txt").write_text(needed)
    wheel(index, "unreported")
    install = [environment / "bin" / "pip", "install", "-q", "--no-index", "--find-links", index]
    report = ["--require-hashes", "--report", environment / "pip-pins.json", "-r", tmp_path / "pins.txt"]
    subprocess.run([*install, *report], check=True)
    subprocess.run([*install, "unreported"], check=True)
    ours = next(path for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [environment / "bin" / "python", "-c", f"import sys; sys.path.append({ours!r}); from include.command_line.app import main; main()", "sbom"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one for one in json.loads(done.stdout)["components"]}
    assert found["reported"]["hashes"] == [{"alg": "SHA-256", "content": needed.strip().rpartition(":")[2]}]
    assert "hashes" not in found["unreported"] and "hashes" not in found["scikit-learn"]

    (environment / "pip-pins.json").unlink()
    other = {one["name"]: one for one in printed("--environment", str(environment))["components"]}
    place = str(next(environment.glob("lib/*/site-packages")).resolve())
    assert other["reported"]["evidence"] == {"occurrences": [{"location": place}]}
    assert "reported" not in {one["name"] for one in printed()["components"]}


def test_a_folder_that_is_no_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no Python environment"):
        printed("--environment", str(tmp_path))
