"""A store as release 0.1 would have left it: records that nothing names by a digest, evidence that does not say by which code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from include.evaluation.evidence import Evidence, load_evidence
from include.registry.ledger import Ledger
from include.storage.content import canonical_json, get_json, put_content
from include.storage.local import LocalStore
from include.storage.log import Log


def as_release_0_1(
    store: LocalStore, model: str, changed: Callable[[Evidence], Evidence] = lambda evidence: evidence
) -> None:
    """Write a model's ledger anew.

    Parameters
    ----------
    changed : callable
        What that release would have measured instead.
    """
    entries = Ledger(store, model).entries()
    for folder in (
        "ledger",
        "ledger-checkpoints",
        "tripwires",
        "alone",
        "evidence/index",
        "checks/index",
        "checks/passed",
    ):
        shutil.rmtree(store.root / model / folder, ignore_errors=True)
    log = Log(store, f"{model}/ledger/")
    for entry in entries:
        body = dict(entry.body)
        if entry.kind == "registered":
            del body["record"]
            path = store.root / model / "versions" / f"{body['version']}.json"
            record = get_json(store, f"{model}/versions/{body['version']}.json")
            del record["records"]
            path.chmod(0o644)
            path.write_bytes(canonical_json(record))
        if entry.kind == "decided":
            body["evidence"] = _earlier(store, model, changed(load_evidence(store, model, body["evidence"])))
        log.append(lambda _, kind=entry.kind, body=body: (kind, body), at=entry.at)  # type: ignore[misc]


def _earlier(store: LocalStore, model: str, evidence: Evidence) -> str:
    subjects = {role: replace(subject, code=None) for role, subject in evidence.subjects.items()}
    value: dict[str, Any] = replace(evidence, subjects=subjects, costs=None).to_json()
    del value["costs"]
    for subject in value["subjects"].values():
        del subject["code"]
    return put_content(store, f"{model}/evidence", ".json", canonical_json(value))
