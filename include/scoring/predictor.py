"""A loaded version that predicts rows, shared by batch scoring and the server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from include.config.code import load_function
from include.config.model import ModelConfig
from include.config.sections.data import LOT, ROW
from include.config.sections.rows.sources import ColumnType
from include.data.columns.pandas_frames import to_frame
from include.data.derived_columns import derived
from include.data.frames import read_rows, select
from include.data.snapshots import Pinned, Snapshot
from include.evaluation.compared_models import files_of_fit, open_model, score_rows
from include.registry.ledger import Ledger
from include.registry.versions import Version, fit_of
from include.storage.content import get_content
from include.storage.remembering import read_ahead
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.input_domain import InputDomain
from include.training.provenance import Provenance

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

    from include.training.input_domain import Mask

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Predictions:
    """What a version predicts for some rows.

    Attributes
    ----------
    score : array of shape (n_rows,), or (n_rows, n_classes) for more than two classes
        Probability of the positive class, the predicted value, or the number of the cluster.
    outside : dict of str to array of shape (n_rows,)
        For each column, which rows lie outside the domain that the version was fitted on.
    """

    fit: FitRecord
    score: Array
    outside: dict[str, Mask]

    @property
    def prediction(self) -> Array:
        """One number a row; of more than two classes the probability of the likeliest. Clusters are whole numbers."""
        one = self.score.max(axis=1) if self.score.ndim == 2 else self.score
        return one.astype(np.int64) if self.fit.task == "clustering" else one

    @property
    def label(self) -> pa.Array | None:
        """The class of each row; None where there are no classes."""
        places = self.class_places
        return None if places is None else pa.array(self.fit.classes).take(pa.array(places))

    @property
    def class_places(self) -> Array | None:
        """The place of each row's class in ``fit.classes``: that which the threshold gives, or the likeliest."""
        if self.fit.classes is None:
            return None
        if self.score.ndim == 2:
            return np.asarray(self.score.argmax(axis=1))
        return None if self.fit.threshold is None else np.asarray(self.score >= self.fit.threshold, dtype=np.int8)

    @property
    def out_of_domain(self) -> Mask:
        """Which rows lie outside in any column."""
        flags = np.zeros(len(self.score), dtype=bool)
        for mask in self.outside.values():
            flags |= mask
        return flags


@dataclass(frozen=True)
class Predictor:
    """A version with all that it needs: raw rows go in, predictions come out.

    Attributes
    ----------
    model : ModelConfig
        The declaration given, with the features that the version was fitted with.
    origin : Provenance
        The declaration and the code that the version was fitted with.
    schema : dict
        The types of the raw columns, the target left out.
    derive : callable or None
        The version's own ``features.derive``; None where the pipeline reads raw columns only.
    """

    model: ModelConfig
    version: Version
    fit: FitRecord
    pipeline: Pipeline
    domain: InputDomain
    origin: Provenance
    schema: dict[str, ColumnType]
    derive: Callable[[pd.DataFrame], pd.DataFrame] | None
    joined: dict[str, str]

    def inputs(self, rows: pa.Table) -> pd.DataFrame:
        """Return what the pipeline reads, given raw rows with the columns of `schema`; raises `DataError`."""
        frame = to_frame(rows)
        if self.derive is not None:
            name = str(self.model.features.derive)
            # That it goes row by row was looked at in training.
            frame = derived(frame, self.derive, name, target=None, check=False)
        return select(frame, list(self.fit.columns), self.model.name)

    def read(
        self, store: ObjectStore, snapshot: Snapshot, columns: Sequence[str], among: Sequence[Pinned] | None = None
    ) -> pd.DataFrame:
        """Return columns of all rows of a snapshot's holdout, with or without a label, as the version's own code gives them.

        Parameters
        ----------
        store : ObjectStore
        snapshot : Snapshot
        columns : sequence of str
        among : sequence of Pinned, optional
            Of rows in these partitions only.
        """
        own = not self.origin.derives and set(columns) <= set(snapshot.schema)
        needed = list(columns) if own else list(snapshot.schema)
        # Columns of the source: no code of the model's folder is asked.
        raw = read_rows(
            store, snapshot, self.model, Path(), window="holdout", columns=needed, labelled=False, among=among
        )
        return self.origin.make(raw, columns)

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """Predict rows that have the fit's columns; raises `CannotPredict`."""
        score = score_rows(self.pipeline, self.fit, frame).score
        return Predictions(self.fit, score, self.domain.outside(frame))


@contextmanager
def open_predictor(store: ObjectStore, model: ModelConfig, folder: Path, version: str | Version) -> Iterator[Predictor]:
    """Load a version; its code may be a copy that lasts as long as the context.

    Parameters
    ----------
    folder : Path
        The model's folder, whose code is used where it is still that of the version.
    version : str or Version
        Its id, by which the ledger names its record, or that record.

    Raises
    ------
    RegistryError, TrainingError
        When there is no such version, or it is from before declarations were kept.
    ModelFileRefused, ObjectMissing, ObjectCorrupt
        When what is stored of it can't be used.
    """
    record = Ledger(store, model.name).version(version) if isinstance(version, str) else version
    fit = fit_of(store, record)
    read_ahead(
        store,
        [*files_of_fit(fit), f"{model.name}/domains/{fit.domain}.json", f"{model.name}/snapshots/{fit.snapshot}.json"],
    )
    with Provenance(store, fit, folder) as origin:
        then = model.model_copy(update={"features": origin.declared.features})
        assert fit.domain is not None  # noqa: S101 (kept together with the declaration)
        domain = InputDomain.from_json(json.loads(get_content(store, f"{model.name}/domains", ".json", fit.domain)))
        snapshot = Snapshot.load(store, model.name, fit.snapshot)
        hidden = {model.data.target, LOT, ROW}
        schema: dict[str, Any] = {name: kind for name, kind in snapshot.schema.items() if name not in hidden}
        derive = load_function(origin.code, str(then.features.derive)) if origin.derives else None
        joined = {name: text for join in snapshot.joins for name, text in join.rule.meanings().items()}
        yield Predictor(then, record, fit, open_model(store, fit), domain, origin, schema, derive, joined)
