"""Models in a notebook or script: load a version, predict your own rows, read its card.

It needs only the store, from which it reads the declaration, code and types that were recorded with the version. It needs neither
Airflow, nor the repository, nor the current model folder. Its predictions equal those of ``score_<model>``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from include.config.model import ModelConfig
from include.config.sections.data import LOT, ROW
from include.config.settings import Settings
from include.data.columns.pandas_frames import typed_rows
from include.data.derived_columns import derive_columns
from include.data.frames import select
from include.errors import DataError, RatchetError, RegistryError
from include.evaluation.compared_models import open_model, score_rows
from include.evaluation.gains import Measured
from include.registry.history.card_files import draw_card
from include.registry.history.version_details import VersionDetails, version_details
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_version
from include.registry.naming.renamed import stored_ledger_name
from include.registry.version_states import Decision
from include.scoring.scores import answers_of
from include.storage.content import get_content
from include.storage.opening import open_store
from include.storage.store import ObjectStore
from include.training.input_domain import InputDomain
from include.training.provenance import Provenance, config_of

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Card:
    """A model card; a notebook shows it, and ``html`` is the page."""

    html: str

    def _repr_html_(self) -> str:
        # A document of its own in a frame: its style and the notebook's leave each other alone.
        source = self.html.replace("&", "&amp;").replace('"', "&quot;")
        return f'<iframe srcdoc="{source}" sandbox width="100%" height="720" style="border:0"></iframe>'


class LoadedModel:
    """A version that predicts.

    Attributes
    ----------
    id : str
        The version's id.
    as_of : datetime
        The instant that it was trained as of.
    columns : tuple of str
        The columns that its pipeline reads, the derived ones among them.
    inputs : tuple of str
        The columns of the source, of which `predict` takes those that it needs.
    classes : tuple or None
        The target's values, in the order of `predict_proba`; None unless it classifies.
    threshold : float or None
        The probability from which a row gets the second of two classes.
    metrics : dict of str to Measured
        What was measured on its holdout, with two-sided 95 % intervals; empty before a decision.
    pipeline : sklearn.pipeline.Pipeline
        The fitted pipeline, which takes ``columns`` as `prepare` returns them.
    """

    def __init__(self, store: ObjectStore, details: VersionDetails, decision: Decision | None) -> None:
        self._store, self._details, self._decision = store, details, decision
        self._fit = fit = details.fit
        self._config: ModelConfig = config_of(store, fit)
        schema = details.snapshot.schema
        self.id, self.as_of = details.version.id, details.version.as_of
        self.columns, self.classes, self.threshold = fit.columns, fit.classes, fit.threshold
        self.inputs = tuple(name for name in schema if name not in (self._config.data.target, LOT, ROW))
        evidence = details.evidence
        self.metrics: dict[str, Measured] = {} if evidence is None else dict(evidence.scores["challenger"])
        self.pipeline: Pipeline = open_model(store, fit)

    def __repr__(self) -> str:
        state = "not decided on" if self._decision is None else str(self._decision.outcome)
        return f"<{self._fit.model} {self.id}: {self._fit.estimator}, {state}>"

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Predict rows as the source delivers them; columns are derived by the code on record.

        Parameters
        ----------
        frame : pandas.DataFrame of shape (n_rows, n_columns)
            With the columns of the source that the version needs; others are left alone. Times without a zone are read
            in ``data.timezone``, as at ingestion.

        Returns
        -------
        pandas.DataFrame of shape (n_rows, 2 to 4)
            With the index of ``frame``: ``prediction`` (the probability of the positive class, or of the likeliest of
            many; the value; the cluster's number), ``label`` (classification: the class, by the version's threshold), ``lower`` and ``upper`` (where intervals are declared) and
            ``out_of_domain``, whether the row is unlike anything that the version was fitted on.

        Raises
        ------
        DataError
            When a column is missing or of another type than on record, or can't be derived.
        EvaluationError
            When the pipeline can't read the rows.
        """
        rows = self._rows(frame)
        scored = score_rows(self.pipeline, self._fit, rows).score
        answers: pd.DataFrame = answers_of(scored, self._fit).to_pandas()
        answers["out_of_domain"] = self._outside(rows)
        return answers.set_index(frame.index)

    def predict_proba(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the probability of each class, a column a class; the rest is as in `predict`."""
        if self.classes is None:
            raise RatchetError(f"{self._fit.model} has no classes.", found=self._fit.task, remedy="use `predict`")
        scored = score_rows(self.pipeline, self._fit, self._rows(frame)).score
        both = np.column_stack([1 - scored, scored]) if scored.ndim == 1 else scored
        return pd.DataFrame(both, index=frame.index, columns=list(self.classes))

    def prepare(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the columns that the pipeline reads: typed as on record, and derived."""
        return self._rows(frame).set_axis(frame.index)

    @property
    def card(self) -> Card:
        """The model card, with the decision in force; raises `RegistryError` before a decision."""
        details = self._details
        if details.config is None or details.comparison is None or details.judgement is None:
            raise RegistryError(f"There is no decision on {self.id} yet, so it has no card.")
        return Card(draw_card(details.config, details.comparison, details.judgement, self._decision))

    def _rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        data, derive = self._config.data, self._config.features.derive
        typed = typed_rows(
            frame, self._details.snapshot.schema, data.clock, self._fit.model, self._config.quality.rectify
        )
        typed = typed.drop(columns=[data.target] if data.target in typed else [])
        # An empty folder: the code that the fit was made with comes from the store.
        with TemporaryDirectory() as nothing, Provenance(self._store, self._fit, Path(nothing)) as origin:
            if origin.derives:
                try:
                    typed = derive_columns(typed, self._config, origin.code)
                except KeyError as missing:
                    raise DataError(
                        f"`{derive}` needs the column {missing}.",
                        expected=f"those of {', '.join(self.inputs)} that it reads",
                        found=", ".join(map(str, frame.columns)),
                        where=f"model {self._fit.model}, version {self.id}",
                    ) from None
        return select(typed, list(self.columns), self._fit.model)

    def _outside(self, rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
        assert self._fit.domain is not None  # noqa: S101 (kept together with the declaration, without which nothing is loaded)
        body = get_content(self._store, f"{self._fit.model}/domains", ".json", self._fit.domain)
        masks = InputDomain.from_json(json.loads(body)).outside(rows).values()
        return cast("np.ndarray[Any, np.dtype[np.bool_]]", np.any([np.zeros(len(rows), bool), *masks], axis=0))


def load_champion(
    model: str, *, at: datetime | str | None = None, alias: str | None = None, store: str | None = None
) -> LoadedModel:
    """Load the champion of a model, the champion as of an instant by all that is known now, or the version of an alias.

    Parameters
    ----------
    model : str
        The model's name.
    at : datetime or str, optional
        The instant (UTC unless it says otherwise), such as ``2013-08-15``; the end of time if left out.
    alias : str, optional
        An alias such as ``canary``, in place of the champion; without ``at``, since an alias points at one version.
    store : str, optional
        The store's address, such as ``s3://bucket/prefix``; ``RATCHET_STORE`` if left out.

    Raises
    ------
    RegistryError
        When there is no champion, or no version has the alias.
    """
    opened = _open(store)
    ledger = Ledger(opened, stored_ledger_name(opened, model))
    timeline = ledger.timeline()
    if alias is not None:
        if at is not None or alias not in timeline.aliases:
            raise RegistryError(
                f"{model} has no version by this name." if at is None else "An alias has no instant.",
                expected="an instant or an alias"
                if at
                else ", ".join(sorted(timeline.aliases)) or "an alias; there is none",
                found=alias,
                where=opened.url,
                remedy=None if at else f'python -m include alias {model} {alias} VERSION --reason "..."',
            )
        return _load(ledger, timeline.aliases[alias])
    version = timeline.champion if at is None else timeline.champion_as_of(_instant(at))
    if version is None:
        raise RegistryError(
            f"{model} has no champion" + ("." if at is None else f" as of {at}."),
            expected="a version that was promoted and is not withdrawn",
            found=f"{len(timeline.standings)} versions",
            where=opened.url,
            remedy="check the model's name and the store, which `RATCHET_STORE` or `store=` names",
        )
    return _load(ledger, version)


def load_model(model: str, version: str, *, store: str | None = None) -> LoadedModel:
    """Load any version of a model by its id, the beginning of the id or of its digest, or an alias.

    Raises
    ------
    RegistryError
        When there is no such version, or more than one.
    """
    opened = _open(store)
    ledger = Ledger(opened, stored_ledger_name(opened, model))
    return _load(ledger, find_version(ledger.timeline(), version))


def _load(ledger: Ledger, version: str) -> LoadedModel:
    ledger.statement(version)
    standing = ledger.timeline()[version]
    return LoadedModel(ledger.store, version_details(ledger.store, ledger.model, standing), standing.decision)


def _open(store: str | None) -> ObjectStore:
    return open_store(store or Settings.from_environment().store)


def _instant(at: datetime | str) -> datetime:
    instant = datetime.fromisoformat(at) if isinstance(at, str) else at
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
