"""Everything that is on record about one version, gathered for a reader."""

from __future__ import annotations

from dataclasses import dataclass

from include.config.model import ModelConfig
from include.data.quality_page import page_of
from include.data.snapshots import Snapshot
from include.evaluation.evidence import Evidence
from include.registry.gate import Judgement
from include.registry.ledger import Comparison
from include.registry.timeline import Standing
from include.registry.versions import Version, load_version
from include.storage.content import get_content
from include.storage.store import ObjectStore
from include.training.record import FitRecord, load_fit


@dataclass(frozen=True)
class Dossier:
    """A version with what it was made from and, once it is decided on, with what was measured and ruled.

    Attributes
    ----------
    quality_page : str or None
        Digest of the page of the data check, ``<model>/checks/<digest>.html``.
    """

    version: Version
    fit: FitRecord
    snapshot: Snapshot
    config: ModelConfig | None
    comparison: Comparison | None
    judgement: Judgement | None
    quality_page: str | None

    @property
    def evidence(self) -> Evidence | None:
        """What was measured, or None before the decision."""
        return None if self.comparison is None else self.comparison.evidence


def gather(store: ObjectStore, model: str, standing: Standing) -> Dossier:
    """Read what the store holds about a version; all of it is immutable for one decision.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
    """
    version = load_version(store, model, standing.version)
    fit = load_fit(store, model, version.fit)
    snapshot = Snapshot.load(store, model, version.snapshot)
    decision = standing.decision
    if decision is None:
        return Dossier(version, fit, snapshot, None, None, None, None)
    config = ModelConfig.model_validate_json(get_content(store, f"{model}/configs", ".json", decision.config))
    evidence = Evidence.from_bytes(get_content(store, f"{model}/evidence", ".json", decision.evidence))
    incumbent = None if decision.incumbent is None else load_version(store, model, decision.incumbent)
    comparison = Comparison(version, incumbent, evidence, decision.evidence)
    page = page_of(store, config, version.snapshot)
    return Dossier(version, fit, snapshot, config, comparison, comparison.judge(config.gate), page)
