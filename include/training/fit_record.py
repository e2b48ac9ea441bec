"""The record of one fit: enough to evaluate it, load it and repeat it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from include.config.free_values import marked, unmarked
from include.errors import ObjectCorrupt
from include.storage.content import check_digest, from_iso, known_fields, read_json, to_iso
from include.storage.content import digest as digest_of
from include.storage.store import ObjectStore


@dataclass(frozen=True)
class FittedRows:
    """The training rows: those with ``after < event time <= until``."""

    after: datetime
    until: datetime
    rows: int
    rows_digest: str
    """One digest for the ids of all rows, in order."""


@dataclass(frozen=True)
class CrossValidated:
    """Cross-validation scores, in the metric's own unit."""

    metric: str
    mean: float
    std: float
    folds: tuple[float | None, ...]
    """None for a fold on which the metric is undefined, such as one that holds a single class."""


@dataclass(frozen=True)
class Trial:
    """One setting that a search tried."""

    params: dict[str, Any]
    cv: CrossValidated | None
    """None for one that has no score."""
    share: float = 1.0
    """How many of each fold's fitted rows it was given."""
    failed: str | None = None
    """Why it has no score: it can't be fitted, or the metric is undefined on every fold."""

    @property
    def folds(self) -> tuple[float | None, ...]:
        """The score on each fold; none at all for one that has no score."""
        return () if self.cv is None else self.cv.folds


@dataclass(frozen=True)
class Unmitigated:
    """The same recipe without its mitigation of unfairness, fitted to the same rows, to be judged beside it."""

    model_file: str
    threshold: float | None


@dataclass(frozen=True)
class PredictionInterval:
    """How far the bounds lie from a prediction, in the target's unit, and from how many held-out rows that was learned."""

    coverage: float
    lower: float
    upper: float
    rows: int

    @property
    def offsets(self) -> tuple[float, float]:
        """What is added to a prediction for its lower and its upper bound."""
        return self.lower, self.upper


@dataclass(frozen=True)
class FitRecord:
    """One fitted recipe; ``key`` is the digest of everything that determines it.

    How long fitting took is logged and not kept here: the same fit has the same record, wherever and whenever it is made.
    """

    key: str
    model: str
    candidate: str
    """A candidate's name, or `trivial` or `simple` for a baseline."""
    estimator: str
    params: dict[str, Any]
    """The settings in force, those found by a search included."""
    task: str
    snapshot: str
    train: FittedRows
    model_file: str
    """Digest of the model file's bytes."""
    model_bytes: int
    threshold: float | None
    """The score from which a row counts as positive; None for regression, and for more than two classes."""
    classes: tuple[Any, ...] | None
    """The target's values in order; of two the negative is first. None for regression."""
    columns: tuple[str, ...]
    """The columns that the pipeline reads."""
    cv: CrossValidated | None
    """None for a baseline, which takes no part in the choice of the challenger; but the number of its clusters is chosen."""
    trials: tuple[Trial, ...] | None
    seed: int
    code: str
    """Digest of the list of files behind `features.derive`, and behind a cost function that candidates or thresholds go by: `include.config.code.code_behind`."""
    libraries: dict[str, str]
    config: str | None = None
    """Digest of the declaration that it was fitted under. None, like the next two, of a fit from before they were kept."""
    domain: str | None = None
    """Digest of what its training rows looked like: `include.training.input_domain`."""
    platform: str | None = None
    """Operating system and processor, on which its model file has the same bytes again."""
    inputs: dict[str, str] | None = None
    """In records of release 0.1, digests of the input columns in the first training rows; they are no longer used."""
    members: tuple[str, ...] | None = None
    """The keys of the fits that it joins; None for what joins none."""
    refits: tuple[str, ...] | None = None
    """Digests of the model files of the same recipe fitted to resamples of its rows; None where none are kept."""
    mitigated: dict[str, dict[str, float | None]] | None = None
    """Disparities between groups in validation, ``before`` and ``after`` the candidate's `fairness`; None without any."""
    unmitigated: Unmitigated | None = None
    interval: PredictionInterval | None = None
    """The bounds beside its predictions; None, and not in the stored form, where none are declared."""
    engine: str | None = None
    """What held the rows while it was fitted, such as ``dask``; None, and not in the stored form, of one process."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON that `from_json` reads back."""
        value = asdict(self)
        for later in ("interval", "engine"):
            if value[later] is None:
                del value[later]
        for settings in (value, *(value["trials"] or ())):
            settings["params"] = marked(settings["params"])
        value["train"] |= {"after": to_iso(self.train.after), "until": to_iso(self.train.until)}
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FitRecord:
        """Read back what `to_json` wrote; of a record of release 0.1 without the durations that it kept."""
        train = value["train"]
        instants = {"after": from_iso(train["after"]), "until": from_iso(train["until"])}
        return cls(
            **known_fields(cls, value)
            | {
                "train": FittedRows(**train | instants),
                "params": unmarked(value["params"]),
                "classes": _tuple(value["classes"]),
                "columns": tuple(value["columns"]),
                "members": _tuple(value.get("members")),
                "refits": _tuple(value.get("refits")),
                "interval": PredictionInterval(**value["interval"]) if value.get("interval") else None,
                "unmitigated": Unmitigated(**value["unmitigated"]) if value.get("unmitigated") else None,
                "cv": _cross_validated(value["cv"]),
                "trials": None
                if value["trials"] is None
                else tuple(
                    Trial(
                        **known_fields(Trial, trial)
                        | {"params": unmarked(trial["params"]), "cv": _cross_validated(trial["cv"])}
                    )
                    for trial in value["trials"]
                ),
            }
        )


def _cross_validated(value: dict[str, Any] | None) -> CrossValidated | None:
    return None if value is None else CrossValidated(**value | {"folds": tuple(value["folds"])})


def _tuple(value: list[Any] | None) -> tuple[Any, ...] | None:
    return None if value is None else tuple(value)


def load_fit(store: ObjectStore, model: str, key: str, digest: str | None = None) -> FitRecord:
    """Read the record of a fit; arguments and errors are those of `read_fit`.

    Parameters
    ----------
    model : str
        Name of the model.
    key : str
        Key of the fit.
    digest : str, optional
        Digest that the record must have.
    """
    return read_fit(store, model, key, digest)[0]


def read_fit(store: ObjectStore, model: str, key: str, digest: str | None = None) -> tuple[FitRecord, str]:
    """Return the record of a fit, and the digest of its bytes, by which those who name the fit pin it.

    Parameters
    ----------
    digest : str, optional
        What the digest must be; without it the record is as good as `include.training.provenance.verify_fit_key` finds it.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
    """
    place = f"{model}/fits/{key}.json"
    body = store.get(place)
    if digest is not None:
        check_digest(store, place, body, digest)
    try:
        record = FitRecord.from_json(read_json(body))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ObjectCorrupt(
            "an object is not the record of a fit", found=type(error).__name__, where=f"{store.url}: {place}"
        ) from error
    if (record.model, record.key) != (model, key):
        raise ObjectCorrupt(
            "the record of a fit is that of another fit",
            expected=f"fit {key[:12]} of {model}",
            found=f"fit {record.key[:12]} of {record.model}",
            where=f"{store.url}: {place}",
        )
    return record, digest_of(body)
