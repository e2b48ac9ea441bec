"""Small worlds for the registry: a store in memory, and versions whose true quality is known."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import NormalDist

from include.config.load import load_model
from include.config.model import ModelConfig
from include.errors import ObjectMissing
from include.evaluation.evidence import CostFunction, Evidence, Holdout, Units
from include.evaluation.gains import PROBABILITIES, Gain, Measured
from include.registry.versions import Version, id_of
from include.storage.content import canonical_json, digest_json, put_json, to_iso
from include.storage.store import ObjectStore, StoredObject

MODELS = Path(__file__).resolve().parents[1] / "include" / "models"
FLIGHTS = load_model(MODELS / "flight_delay" / "model.yaml")
PRIMARY_ONLY = FLIGHTS.model_copy(update={"gate": FLIGHTS.gate.model_copy(update={"require": (), "guards": ()})})
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class MemoryStore:
    """Keeps objects in a dict; quick enough for thousands of random histories."""

    url = "memory:"
    parallel = 1

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.written: dict[str, datetime] = {}  # when, of those that were not written NOW

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        if key in self.objects:
            return False
        self.objects[key] = body.read_bytes() if isinstance(body, Path) else body
        return True

    def get(self, key: str) -> bytes:
        if key not in self.objects:
            raise ObjectMissing("no such object", where=key)
        return self.objects[key]

    def exists(self, key: str) -> bool:
        return key in self.objects

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix) and (after is None or key > after))

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        for key in self.list(prefix):
            yield StoredObject(key, len(self.objects[key]), self.written.get(key, NOW))

    def delete(self, key: str) -> bool:
        self.objects.pop(key, None)
        return True


class World:
    """Versions of given quality, measured with a standard error of 0.01."""

    def __init__(self, store: ObjectStore | None = None, model: ModelConfig = PRIMARY_ONLY) -> None:
        self.store: ObjectStore = store or MemoryStore()
        self.model = model
        self.quality: dict[str, float] = {}
        self.measured: list[tuple[str, str | None]] = []

    def version(self, month: int, quality: float, *, name: str = "a", estimator: str = "decision_tree") -> Version:
        as_of = datetime(2013, month, 1, tzinfo=UTC)
        fit = digest_json([month, quality, name])
        version = Version(
            id=id_of(self.model.name, as_of, fit),
            model=self.model.name,
            as_of=as_of,
            snapshot="snapshot",
            fit=fit,
            candidate=estimator,
            estimator=estimator,
            model_file="file",
            baselines={"trivial": "trivial", "simple": "simple"},
        )
        put_json(self.store, f"{self.model.name}/versions/{version.id}.json", version.to_json())
        self.quality[version.id] = quality
        return version

    def measure(
        self, model: ModelConfig, version: Version, incumbent: Version | None, *, again: str | None = None
    ) -> tuple[Evidence, str]:
        self.measured.append((version.id, incumbent.id if incumbent else None))
        quality = {"trivial": 0.5, "simple": 0.55}
        if incumbent is not None:
            quality["incumbent"] = self.quality[incumbent.id]
        made = evidence(
            self.quality[version.id],
            quality,
            version=version,
            incumbent=incumbent.id if incumbent else None,
            model=model.name,
        )
        key = digest_json(made.to_json())
        self.store.put_if_absent(f"{model.name}/evidence/{key}.json", canonical_json(made.to_json()))
        return made, key


def gain(against: str, estimate: float, *, error: float = 0.01, **facts: object) -> Gain:
    quantiles = tuple((p, estimate + error * NormalDist().inv_cdf(p)) for p in PROBABILITIES)
    values = {"metric": "roc_auc", "slice": None, "support": 10_000, "quantiles": quantiles} | facts
    return Gain(against=against, estimate=estimate, **values)  # type: ignore[arg-type]


def evidence(
    challenger: float,
    others: dict[str, float],
    *,
    version: Version | None = None,
    incumbent: str | None = None,
    extra: tuple[Gain, ...] = (),
    **facts: object,
) -> Evidence:
    scores = {
        role: {"roc_auc": Measured(value, value - 0.02, value + 0.02)}
        for role, value in {"challenger": challenger, **others}.items()
    }
    values = {
        "model": "flight_delay",
        "task": "classification",
        "version": version.id if version else "challenger",
        "as_of": to_iso(version.as_of) if version else "2013-06-01T00:00:00Z",
        "incumbent": incumbent,
        "snapshot": "snapshot",
        "holdout": Holdout("2013-04-30T00:00:00Z", "2013-05-31T00:00:00Z", 10_000, "rows", 2_000),
        "comparable": True,
        "incomparable_because": None,
        "remedy": None,
        "metrics": ("roc_auc",),
        "scores": scores,
        "gains": (*(gain(role, challenger - value) for role, value in others.items()), *extra),
        "slice_scores": (),
        "subjects": {},
        "curves": {},
        "importance": (),
        "cost": CostFunction(1.0, 1000),
        "resamples": 1000,
        "units": Units("rows", 10_000, 10_000),
        "seed": 0,
        "notes": (),
    } | facts
    return Evidence(**values)  # type: ignore[arg-type]
