"""Audit packs: one file with the records of a decision, which an auditor verifies without Airflow, the store or Ratchet."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from include.audit.sbom import sbom_of
from include.errors import RegistryError
from include.registry.history.card_files import draw_card
from include.registry.history.version_details import VersionDetails, version_details
from include.registry.ledger import Ledger
from include.registry.statements import golden_folder, statement_key
from include.registry.version_states import Decision, VersionState
from include.registry.versions import Version, fit_of
from include.signing.deployment import trusted_keys
from include.storage.content import canonical_json
from include.storage.log import Entry
from include.training.fit_record import FitRecord
from include.training.provenance import listed_code

_SCRIPT = Path(__file__).with_name("offline_check.py")
_README = """An audit pack of {model}, version {version}.

  python verify.py PACK.zip --trusted keys.json

needs Python 3.9 and nothing else. keys.json is the deployment's list of trusted public keys; ask for it by another way than
this file came. store/ holds the objects as they are stored, byte for byte. card.html and sbom.cdx.json are drawn from
them. What holds values of rows (golden rows, quality report, domain) and the model file are named by their SHA-256, and
enclosed only if the pack was made with --whole.
"""


def make_pack(ledger: Ledger, version: str, *, whole: bool = False) -> bytes:
    """Return the zip file of a version's last decision; the same decision gives the same bytes.

    Parameters
    ----------
    version : str
        A version's id.
    whole : bool
        Also enclose the model file and what holds values of rows.

    Raises
    ------
    RegistryError
        When nothing was decided on the version.
    ObjectMissing, ObjectCorrupt, SignatureRefused
        When what is on record is not sound; a pack of it is not made.
    """
    standing = ledger.timeline()[version]
    decision = standing.decision
    if decision is None:
        raise RegistryError(
            f"There is no decision on {version} yet.",
            expected="a version that the gate ruled on",
            where=ledger.store.url,
        )
    ledger.statement(version)
    told = version_details(ledger.store, ledger.model, standing)
    files = {
        "README.txt": _README.format(model=ledger.model, version=version).encode(),
        "verify.py": _SCRIPT.read_bytes(),
        "subject.json": canonical_json({"model": ledger.model, "version": version}),
        "sbom.cdx.json": json.dumps(sbom_of(told.version, told.fit), indent=1, sort_keys=True).encode(),
        "trusted.json": _trusted(),
    }
    if told.comparison is not None and told.config is not None and told.judgement is not None:
        files["card.html"] = draw_card(told.config, told.comparison, told.judgement, decision).encode()
    for key in {*_keys(ledger, standing, decision, told), *(_rows(ledger, told) if whole else ())}:
        files[f"store/{key}"] = ledger.store.get(key)
    return _zip(files)


def _trusted() -> bytes:
    trusted = trusted_keys()
    return json.dumps([key.to_json() for key in trusted] if trusted else [], indent=1).encode()


def _keys(ledger: Ledger, standing: VersionState, decision: Decision, told: VersionDetails) -> Iterator[str]:
    model, last = ledger.model, standing.decided
    assert last is not None  # noqa: S101 (decided)
    heads, entries = set(ledger.store.list(f"{model}/heads/")), ledger.entries()[: last + 1]
    for entry in entries:
        yield f"{model}/ledger/{entry.number:08d}.json"
        if (head := f"{model}/heads/{entry.number:08d}-{entry.digest}.json") in heads:
            yield head
    yield from _of_version(ledger, told.version, told.fit, decision)
    for rebuilt in _rebuilds(entries, standing.version):
        yield f"{model}/reproductions/{rebuilt.body['proof']}.json"
        original = ledger.version(rebuilt.body["rebuild_of"])
        yield from _of_version(ledger, original, fit_of(ledger.store, original), decision)
    yield f"{model}/configs/{decision.config}.json"
    if decision.evidence is not None:
        yield f"{model}/evidence/{decision.evidence}.json"


def _rebuilds(entries: Sequence[Entry], version: str) -> Iterator[Entry]:
    """Yield the rebuilds, the newest first, by which a version has the decision of another one."""
    for entry in reversed(entries):
        if entry.body["version"] == version and entry.kind == "decided":
            return
        if entry.body["version"] == version and entry.kind == "rebuilt":
            yield entry
            version = entry.body["rebuild_of"]


def _of_version(ledger: Ledger, version: Version, fit: FitRecord, decision: Decision) -> Iterator[str]:
    model = ledger.model
    for evidence in {None, decision.evidence}:
        if ledger.store.exists(key := statement_key(model, version.id, evidence)):
            yield key
    yield f"{model}/versions/{version.id}.json"
    for key in {version.fit, *version.records, *version.baselines.values(), *version.candidates.values()}:
        yield f"{model}/fits/{key}.json"
    yield f"{model}/snapshots/{version.snapshot}.json"
    yield f"{model}/code/{fit.code}.json"
    for digest in listed_code(ledger.store, model, fit.code).values():
        yield f"{model}/code/{digest}.py"
    if fit.config is not None:
        yield f"{model}/configs/{fit.config}.json"


def _rows(ledger: Ledger, told: VersionDetails) -> Iterator[str]:
    """Yield the keys of the model file and of objects that contain values of rows."""
    model, version = ledger.model, told.version
    yield f"{model}/models/{version.model_file}.skops"
    yield from ledger.store.list(f"{golden_folder(model, version.id)}/")
    if told.fit.domain is not None:
        yield f"{model}/domains/{told.fit.domain}.json"
    if told.quality_page is not None:
        yield f"{model}/checks/{told.quality_page}.html"


def _zip(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with ZipFile(out, "w", ZIP_STORED) as archive:
        for name in sorted(files):
            entry = ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return out.getvalue()
