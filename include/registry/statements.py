"""Signed statements about versions: what belongs to one, by digest, in the form of in-toto.

One is made when a version is registered, and one for each evidence that it is decided on. Who has the files and the trusted
keys can check a version with nothing else: the names of the subjects are the keys of the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from include.errors import ObjectMissing, SignatureRefused
from include.registry.timeline import Timeline, fold
from include.registry.version_states import ALIASED, TAGGED
from include.registry.versions import Version, load_version
from include.signing.envelope import seal, unseal
from include.signing.heads import SignedHeads
from include.signing.keys import SigningKey, TrustedKeys
from include.storage.content import to_iso
from include.storage.log import Decide, Entry
from include.storage.store import ObjectStore

STATEMENT = "application/vnd.in-toto+json"
"""The payload type, https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md."""
PREDICATE = "urn:ratchet:version:1"
_UNSAID = (ALIASED, TAGGED, "withdrawn")
"""Kinds of events that no statement about a version contains; the head of the ledger is signed with each."""


@dataclass(frozen=True)
class VersionStatement:
    """The content of a signed statement about a version.

    Attributes
    ----------
    subjects : dict of str to str
        SHA-256 digests of objects, by their keys in the store.
    signer : str
        The name of the trusted key.
    """

    version: str
    subjects: dict[str, str]
    signer: str

    @property
    def golden(self) -> tuple[str, ...]:
        """The digests of its golden rows."""
        return tuple(digest for key, digest in self.subjects.items() if key.split("/")[-3:-2] == ["golden"])


def golden_folder(model: str, version: str) -> str:
    """Return the folder of a version's golden rows."""
    return f"{model}/golden/{version}"


def statement_key(model: str, version: str, evidence: str | None) -> str:
    """Return the key of the statement about a version, as registered or as decided on some evidence."""
    return f"{model}/statements/{version}/{evidence or 'registered'}.json"


def sign_version(
    store: ObjectStore,
    version: Version,
    key: SigningKey,
    trusted: TrustedKeys,
    *,
    at: str,
    evidence: str | None = None,
    config: str | None = None,
) -> None:
    """Store the signed statement about a version; the first one is kept.

    Parameters
    ----------
    at : str
        The instant of the signature.
    evidence, config : str, optional
        Digests of what it was decided on and by, once it is.

    Raises
    ------
    SignatureRefused
        When another statement is there already.
    """
    subjects = _subjects(version, evidence, config)
    folder = golden_folder(version.model, version.id)
    subjects |= {name: PurePosixPath(name).stem for name in store.list(f"{folder}/")}
    facts = {"version": version.id, "as_of": to_iso(version.as_of), "recipe": version.fit, "at": at}
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {"model": version.model, **facts},
    }
    if not store.put_if_absent(statement_key(version.model, version.id, evidence), seal(STATEMENT, value, key)):
        check_version(store, version, trusted, evidence=evidence, config=config)


def check_version(
    store: ObjectStore, version: Version, trusted: TrustedKeys, *, evidence: str | None, config: str | None = None
) -> VersionStatement:
    """Return the statement about a version, once it is found to be signed and to be about this very version.

    Parameters
    ----------
    evidence : str or None
        The digest of what it was last decided on; None before that, and where nothing could be measured.

    Raises
    ------
    SignatureRefused
        When there is none, its signer is not trusted, or it names other objects.
    """
    key = statement_key(version.model, version.id, evidence)
    where = f"{store.url}: {key}"
    try:
        envelope = store.get(key)
    except ObjectMissing:
        raise SignatureRefused(
            "a version is not signed",
            expected="a statement by a trusted key",
            found="none",
            where=where,
            remedy="a version from before signing: look at it (`python -m include verify`), then `python -m include sign`. "
            "Otherwise look for who could write it",
        ) from None
    value, signer = unseal(STATEMENT, envelope, trusted, where=where)
    subjects = _read_subjects(value, where)
    expected = _subjects(version, evidence, config)
    if others := sorted(name for name, digest in expected.items() if subjects.get(name) != digest):
        raise SignatureRefused(
            "a version is signed with other contents",
            expected=", ".join(f"{name} {subjects.get(name, 'not named')[:12]}" for name in others),
            found=", ".join(expected[name][:12] for name in others),
            where=where,
            remedy="restore the objects from a backup; nothing of the version is used",
        )
    return VersionStatement(version.id, subjects, signer.name)


def signed_first(decide: Decide, store: ObjectStore, model: str, heads: SignedHeads, *, at: str) -> Decide:
    """Return what signs a version, as the ledger's next event will have it, before that event is written.

    Parameters
    ----------
    decide : callable
        Returns the next event of the ledger, or None.
    store : ObjectStore
    model : str
        The model's name.
    heads : SignedHeads
        Gives the key to sign with, and the keys that are trusted.
    at : str
        The instant of the signature.
    """

    def signed(entries: tuple[Entry, ...]) -> tuple[str, dict[str, Any]] | None:
        if (decided := decide(entries)) is not None and decided[0] not in _UNSAID:
            body = decided[1]
            record = body.get("record") or fold(entries)[body["version"]].record
            version = load_version(store, model, body["version"], digest=record)
            facts = {"evidence": body["evidence"], "config": body["config"]} if body.get("evidence") else {}
            sign_version(store, version, heads.key(at), heads.trusted, at=at, **facts)
        return decided

    return signed


def sign_standing(store: ObjectStore, model: str, timeline: Timeline, heads: SignedHeads, *, at: str) -> int:
    """Sign the present state of every version, and return the number of versions; parameters as of `signed_first`.

    Parameters
    ----------
    timeline : Timeline
        Of the versions to sign.
    """
    for standing in timeline.standings:
        key = heads.key(at)
        record = {"digest": standing.record, "model_file": standing.model_file}
        version = load_version(store, model, standing.version, **record)
        sign_version(store, version, key, heads.trusted, at=at)
        if (decision := standing.decision) is not None and decision.evidence is not None:
            facts = {"evidence": decision.evidence, "config": decision.config}
            sign_version(store, version, key, heads.trusted, at=at, **facts)
    return len(timeline.standings)


def _subjects(version: Version, evidence: str | None, config: str | None) -> dict[str, str]:
    model = version.model
    subjects = {
        f"{model}/versions/{version.id}.json": version.digest,
        f"{model}/models/{version.model_file}.skops": version.model_file,
        f"{model}/snapshots/{version.snapshot}.json": version.snapshot,
    }
    if version.fit in version.records:  # release 0.1 names no records
        subjects[f"{model}/fits/{version.fit}.json"] = version.records[version.fit]
    if evidence is not None:
        subjects[f"{model}/evidence/{evidence}.json"] = evidence
    if config is not None:
        subjects[f"{model}/configs/{config}.json"] = config
    return subjects


def _read_subjects(value: Any, where: str) -> dict[str, str]:
    try:
        if value["predicateType"] != PREDICATE:
            raise ValueError
        return {str(one["name"]): str(one["digest"]["sha256"]) for one in value["subject"]}
    except (KeyError, TypeError, ValueError):
        raise SignatureRefused("this is not a statement about a version", expected=PREDICATE, where=where) from None
