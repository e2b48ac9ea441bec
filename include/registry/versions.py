"""A version: a trained and selected model, identified by its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from include.config.model import ModelConfig
from include.config.sections.rows.segments import owner_of
from include.errors import ObjectCorrupt, ObjectMissing, RegistryError, did_you_mean
from include.storage.content import check_digest, digest_json, from_iso, put_json_once, read_json, to_iso
from include.storage.remembering import read_ahead
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord, load_fit
from include.training.provenance import verify_fit_key

_LATER = ("candidates", "failed", "records", "pooled")
"""What is left out of the stored form where it is empty."""


@dataclass(frozen=True)
class Version:
    """One trained model.

    The id is ``<as-of>-<digest>``; the digest is that of the selected fit's key, which covers data, recipe, code and
    libraries. So the same inputs give the same version, on every machine and at any time.
    """

    id: str
    model: str
    as_of: datetime
    snapshot: str
    fit: str
    candidate: str
    estimator: str
    model_file: str
    baselines: dict[str, str]
    """The keys of the baselines' fits on the same snapshot, by name."""
    candidates: dict[str, str] = field(default_factory=dict)
    """The keys of all candidates' fits that it was chosen among, by name; empty in records from before they were kept."""
    failed: dict[str, str] = field(default_factory=dict)
    """Why other candidates of the run that chose it could not be fitted, by name."""
    records: dict[str, str] = field(default_factory=dict)
    """Digests of the records of all these fits, and of those that they join, by key; empty in versions of release 0.1."""
    pooled: str = ""
    """Of a segment: the version of all rows that the same run selected, which it must beat; empty otherwise."""

    @property
    def digest(self) -> str:
        """The digest of the stored form, by which the ledger names it."""
        return digest_json(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """Return the stored form; without what is empty in records from before it was kept."""
        value = {**asdict(self), "as_of": to_iso(self.as_of)}
        return {name: fact for name, fact in value.items() if fact or name not in _LATER}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Version:
        """Read the stored form."""
        return cls(**{**value, "as_of": from_iso(value["as_of"])})


def save_version(
    store: ObjectStore,
    model: ModelConfig,
    as_of: datetime,
    fit: FitRecord,
    baselines: dict[str, FitRecord],
    records: dict[str, str],
    candidates: Iterable[FitRecord] = (),
    failed: Mapping[str, str] = MappingProxyType({}),
    pooled: str = "",
) -> Version:
    """Give the selected fit its version; repeated with the same inputs, find the same one, with the candidates of the first.

    Parameters
    ----------
    records : dict of str to str
        Digests of the fits' records by key, those of joined fits included.
    pooled : str
        Of a segment, the version of all rows that the same run selected.
    """
    version = Version(
        id=id_of(model.name, as_of, fit.key),
        model=model.name,
        as_of=as_of,
        snapshot=fit.snapshot,
        fit=fit.key,
        candidate=fit.candidate,
        estimator=fit.estimator,
        model_file=fit.model_file,
        baselines={name: record.key for name, record in sorted(baselines.items())},
        candidates={record.candidate: record.key for record in candidates},
        failed=dict(sorted(failed.items())),
        records=dict(sorted(records.items())),
        pooled=pooled,
    )
    return Version.from_json(put_json_once(store, _key(model.name, version.id), version.to_json()))


def id_of(model: str, as_of: datetime, fit: str) -> str:
    """Return the id of the version that the fit of this key is, as of an instant."""
    digest = digest_json({"model": model, "as_of": to_iso(as_of), "fit": fit})
    return f"{as_of:%Y%m%dT%H%M%SZ}-{digest[:10]}"


def load_version(
    store: ObjectStore, model: str, version: str, *, digest: str | None = None, model_file: str | None = None
) -> Version:
    """Read a version's record.

    Parameters
    ----------
    digest, model_file : str, optional
        What the ledger says that the digests of record and model file are; `include.registry.ledger.Ledger.version` knows.

    Raises
    ------
    RegistryError
        When there is no such version; names the nearest one.
    ObjectCorrupt
        When the record is not the one that id and ledger name.
    """
    key = _key(model, version)
    try:
        body = store.get(key)
    except ObjectMissing:
        folder = f"{model}/versions/"
        known = [key.removeprefix(folder).removesuffix(".json") for key in store.list(folder)]
        raise RegistryError(
            f"There is no version {version} of {model}.",
            expected=f"one of {len(known)} versions",
            found=version,
            where=f"{store.url}/{folder}",
            remedy=did_you_mean(version, known, mark=""),
        ) from None
    if digest is not None:
        check_digest(store, key, body, digest)
    try:
        record = Version.from_json(read_json(body))
        derived = id_of(record.model, record.as_of, record.fit)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ObjectCorrupt(
            "an object is not the record of a version", found=type(error).__name__, where=f"{store.url}: {key}"
        ) from error
    facts = {"id": (version, record.id), "digest of as-of and fit": (version, derived)}
    if model_file is not None:
        facts["model file"] = (model_file, record.model_file)
    _check(facts, f"{store.url}: {key}", "the record of a version does not match its digest")
    return record


def fit_of(store: ObjectStore, version: Version, key: str | None = None) -> FitRecord:
    """Return the record of a version's fit, or of another that it names: a baseline's, or a joined one.

    Held against its digest; in versions of release 0.1, which name none, against its key.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
    """
    own = version.fit if key is None else key
    digest = version.records.get(own)
    if version.records and digest is None:
        raise ObjectCorrupt("a version does not name this fit", expected=", ".join(version.records), found=own)
    fit = load_fit(store, version.model, own, digest)
    if digest is None:
        verify_fit_key(store, fit)
    facts = {"snapshot": (version.snapshot, fit.snapshot)}
    if own == version.fit:
        facts |= {
            name: (getattr(version, name), getattr(fit, name)) for name in ("candidate", "estimator", "model_file")
        }
    _check(facts, f"{store.url}: {version.model}/fits/{own}.json", "a version and the record of its fit do not agree")
    return fit


def pooled_fit(store: ObjectStore, version: Version) -> FitRecord | None:
    """Return the record of the fit of all rows that a segment's version must beat; None of any other version."""
    if not version.pooled:
        return None
    return fit_of(store, load_version(store, owner_of(version.model), version.pooled))


def read_versions_ahead(store: ObjectStore, model: str, *versions: str | None) -> None:
    """Read the records of versions that are loaded next at the same time; None is ignored."""
    read_ahead(store, [_key(model, one) for one in versions if one is not None])


def read_fits_ahead(store: ObjectStore, challenger: Version, incumbent: Version | None) -> None:
    """Ask at the same time for the records that a measurement reads: of both fits, the baselines and the snapshot."""
    keys = [f"{challenger.model}/fits/{key}.json" for key in (challenger.fit, *challenger.baselines.values())]
    keys += [f"{incumbent.model}/fits/{incumbent.fit}.json"] if incumbent else []
    read_ahead(store, [*keys, f"{challenger.model}/snapshots/{challenger.snapshot}.json"])


def _check(facts: Mapping[str, tuple[str, str]], where: str, message: str) -> None:
    for name, (expected, found) in facts.items():
        if expected != found:
            raise ObjectCorrupt(
                message,
                expected=f"{name} {expected}",
                found=found,
                where=where,
                remedy="restore the object from a backup; nothing that it names is used",
            )


def _key(model: str, version: str) -> str:
    return f"{model}/versions/{version}.json"
