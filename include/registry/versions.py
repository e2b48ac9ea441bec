"""A version: what a run trained and selected, by the identity of its inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from include.config.model import ModelConfig
from include.errors import ObjectMissing, RegistryError, nearest
from include.storage.content import digest_json, from_iso, get_json, settle_json, to_iso
from include.storage.store import ObjectStore
from include.training.record import FitRecord


@dataclass(frozen=True)
class Version:
    """One trained model.

    The id is ``<as-of>-<digest>``; the digest is that of the selected fit's key, which stands for data, recipe, code and
    libraries. So the same inputs give the same version, whoever trains it and whenever.
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

    def to_json(self) -> dict[str, Any]:
        """Return the stored form; as it was before any failure was kept, where there is none."""
        value = {**asdict(self), "as_of": to_iso(self.as_of)}
        return value if self.failed else {name: fact for name, fact in value.items() if name != "failed"}

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
    candidates: Iterable[FitRecord] = (),
    failed: Mapping[str, str] = MappingProxyType({}),
) -> Version:
    """Give the selected fit its version; repeated with the same inputs, find the same one, with the candidates of the first."""
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
    )
    return Version.from_json(settle_json(store, _key(model.name, version.id), version.to_json()))


def id_of(model: str, as_of: datetime, fit: str) -> str:
    """Return the id of the version that the fit of this key is, as of an instant."""
    digest = digest_json({"model": model, "as_of": to_iso(as_of), "fit": fit})
    return f"{as_of:%Y%m%dT%H%M%SZ}-{digest[:10]}"


def load_version(store: ObjectStore, model: str, version: str) -> Version:
    """Read a version's record.

    Raises
    ------
    RegistryError
        When there is no such version; names the nearest one.
    """
    try:
        return Version.from_json(get_json(store, _key(model, version)))
    except ObjectMissing:
        folder = f"{model}/versions/"
        known = [key.removeprefix(folder).removesuffix(".json") for key in store.list(folder)]
        close = nearest(version, known)
        raise RegistryError(
            f"There is no version {version} of {model}.",
            expected=f"one of {len(known)} versions",
            found=version,
            where=f"{store.url}/{folder}",
            remedy=f"did you mean {close}?" if close else None,
        ) from None


def _key(model: str, version: str) -> str:
    return f"{model}/versions/{version}.json"
