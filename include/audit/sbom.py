"""Software bills of materials in CycloneDX 1.6 JSON, of a version or of an installation."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

from include.registry.versions import Version
from include.storage.content import to_iso
from include.training.fit_record import FitRecord


def sbom_of(version: Version, fit: FitRecord) -> dict[str, Any]:
    """Return the libraries that a version was fitted with as a CycloneDX document, the same at every call.

    Its time is the version's as-of: when it was made is not on record.
    """
    model = {
        "type": "machine-learning-model",
        "bom-ref": version.id,
        "name": version.model,
        "version": version.id,
        "description": f"{fit.task}, fitted by {fit.estimator}" + (f" on {fit.platform}" if fit.platform else ""),
        "hashes": [{"alg": "SHA-256", "content": version.model_file}],
    }
    made = document(
        model,
        [library(name, number) for name, number in sorted(fit.libraries.items())],
        identity=f"urn:ratchet:{version.model}:{version.id}:{version.model_file}",
    )
    made["metadata"]["timestamp"] = to_iso(version.as_of)
    return made


def document(subject: dict[str, Any], components: list[dict[str, Any]], *, identity: str) -> dict[str, Any]:
    """Return a CycloneDX document.

    Parameters
    ----------
    subject : dict
        The component that the document is about.
    components : list of dict
        What it depends on, each with a ``bom-ref``.
    identity : str
        What tells this document from every other; its serial number is derived from it.
    """
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, identity)}",
        "version": 1,
        "metadata": {"component": subject},
        "components": components,
        "dependencies": [{"ref": subject["bom-ref"], "dependsOn": [one["bom-ref"] for one in components]}],
    }


def library(name: str, number: str) -> dict[str, str]:
    """Return the component of a Python package, or of Python itself, with its package URL."""
    if name == "python":
        package = f"pkg:generic/python@{quote(number)}"
        return {"type": "platform", "bom-ref": package, "name": name, "version": number, "purl": package}
    package = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(number)}"
    return {"type": "library", "bom-ref": package, "name": name, "version": number, "purl": package}
