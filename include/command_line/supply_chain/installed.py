"""Installed packages as a CycloneDX document: Python packages with licences and hashes, and Debian packages."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from include.audit.sbom import document, library
from include.errors import ConfigError

REPORTS = "pip-*.json"
"""What pip installed, by its own reports (``--report``) beside the environment's packages; the Dockerfile keeps them."""


def installed(environments: Iterable[Path] = ()) -> dict[str, Any]:
    """Return a document that is the same as long as the same is installed.

    Parameters
    ----------
    environments : iterable of Path
        Folders of other Python environments of the machine, such as that of a base image, whose packages are listed as well.
    """
    components = {one["bom-ref"]: one for one in (library("python", platform.python_version()), *_system())}
    for folder, packages in _environments(environments):
        archives = _archives(folder)
        for package in packages:
            one = _package(package, archives)
            there = components.setdefault(one["bom-ref"], one)
            if there is not one:  # in two environments
                there["evidence"]["occurrences"] += one["evidence"]["occurrences"]
    ordered = [components[name] for name in sorted(components)]
    subject = {"type": "application", "bom-ref": "ratchet", "name": "ratchet"}
    return document(subject, ordered, identity=json.dumps(ordered, sort_keys=True))


def _environments(others: Iterable[Path]) -> Iterator[tuple[Path, Iterable[Distribution]]]:
    yield Path(sys.prefix), distributions()
    for folder in others:
        paths = sorted(folder.glob("lib/python*/site-packages"))
        if not paths:
            raise ConfigError(
                "This is no Python environment.",
                expected="a folder with lib/python<version>/site-packages in it",
                found=folder,
                where="--environment",
            )
        yield folder, distributions(path=[str(path) for path in paths])


def _archives(environment: Path) -> dict[str, str]:
    """Return the SHA-256 of the archives that pip installed, by their package URLs."""
    found = {}
    for report in sorted(environment.glob(REPORTS)):
        for one in json.loads(report.read_text())["install"]:
            told, hashes = one["metadata"], one["download_info"].get("archive_info", {}).get("hashes", {})
            if "sha256" in hashes:
                found[library(told["name"], told["version"])["purl"]] = hashes["sha256"]
    return found


def _package(package: Distribution, archives: dict[str, str]) -> dict[str, Any]:
    told: dict[str, Any] = package.metadata.json
    one: dict[str, Any] = library(told["name"], package.version)
    if sha256 := archives.get(one["purl"]):
        one["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    if expression := told.get("license_expression"):
        one["licenses"] = [{"expression": expression}]
    else:
        kinds = [text.split(" :: ") for text in told.get("classifier", ()) if text.startswith("License :: ")]
        names = {kind[-1] for kind in kinds if kind[-1] != "OSI Approved"}
        text = told.get("license", "").strip()
        if not names and text and text != "UNKNOWN" and "\n" not in text:  # some put the licence's whole text there
            names = {text}
        if names:
            one["licenses"] = [{"license": {"name": name}} for name in sorted(names)]
    place = Path(str(package.locate_file(""))).resolve()
    return one | {"evidence": {"occurrences": [{"location": str(place)}]}}


def _system() -> Iterator[dict[str, Any]]:
    """Yield the operating system and, where dpkg keeps its packages, those."""
    try:
        told = platform.freedesktop_os_release()
    except OSError:  # not Linux
        return
    name, number = told["ID"], told.get("VERSION_ID", "")
    yield {"type": "operating-system", "bom-ref": f"os:{name}-{number}", "name": name, "version": number}
    if not shutil.which("dpkg-query"):
        return
    form = "${Package}\\t${Version}\\t${Architecture}\\t${db:Status-Status}\\n"
    command = ["dpkg-query", "--show", f"--showformat={form}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
    for line in listed.splitlines():
        package, version, architecture, status = line.split("\t")
        if status == "installed":
            release = quote(f"{name}-{number}", safe="")
            purl = f"pkg:deb/{name}/{quote(package, safe='')}@{quote(version, safe='')}?arch={architecture}&distro={release}"
            yield {"type": "library", "bom-ref": purl, "name": package, "version": version, "purl": purl}
