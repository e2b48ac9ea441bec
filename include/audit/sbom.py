"""The software bill of materials of a version, in CycloneDX 1.6 JSON."""

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
    components = [_library(name, number) for name, number in sorted(fit.libraries.items())]
    model = {
        "type": "machine-learning-model",
        "bom-ref": version.id,
        "name": version.model,
        "version": version.id,
        "description": f"{fit.task}, fitted by {fit.estimator}" + (f" on {fit.platform}" if fit.platform else ""),
        "hashes": [{"alg": "SHA-256", "content": version.model_file}],
    }
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'urn:ratchet:{version.model}:{version.id}:{version.model_file}')}",
        "version": 1,
        "metadata": {"timestamp": to_iso(version.as_of), "component": model},
        "components": components,
        "dependencies": [{"ref": version.id, "dependsOn": [one["bom-ref"] for one in components]}],
    }


def _library(name: str, number: str) -> dict[str, str]:
    if name == "python":
        package = f"pkg:generic/python@{quote(number)}"
        return {"type": "platform", "bom-ref": package, "name": name, "version": number, "purl": package}
    package = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(number)}"
    return {"type": "library", "bom-ref": package, "name": name, "version": number, "purl": package}
