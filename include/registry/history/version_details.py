"""Details of one version, read from all its records."""

from __future__ import annotations

from dataclasses import dataclass

from include.config.model import ModelConfig
from include.data.quality.page import page_of
from include.data.snapshots import Snapshot
from include.evaluation.evidence import Evidence, load_evidence
from include.registry.decisions import Comparison
from include.registry.gate.judgement import Judgement
from include.registry.version_states import VersionState
from include.registry.versions import Version, fit_of, load_version
from include.storage.content import get_content
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord
from include.training.model_selection.candidate_selection import select_best


@dataclass(frozen=True)
class VersionDetails:
    """A version with what it was made from and, once it is decided on, with what was measured and ruled.

    Attributes
    ----------
    quality_page : str or None
        Digest of the page of the data check, ``<model>/checks/<digest>.html``.
    candidates : tuple of FitRecord
        What it was chosen among, the best in validation first; empty if that is not on record.
    """

    version: Version
    fit: FitRecord
    snapshot: Snapshot
    config: ModelConfig | None
    comparison: Comparison | None
    judgement: Judgement | None
    quality_page: str | None
    candidates: tuple[FitRecord, ...] = ()

    @property
    def evidence(self) -> Evidence | None:
        """What was measured, or None before the decision, and where nothing could be."""
        return None if self.comparison is None else self.comparison.evidence

    def judged_with(self, other: VersionDetails) -> str:
        """Describe which rows this version and another one were evaluated on, if they were never measured against each other."""
        mine, theirs = self.evidence, other.evidence
        if mine is None or theirs is None:
            return "Nothing was measured between these two: one of them has not come to the gate."
        if mine.holdout.rows_digest == theirs.holdout.rows_digest:
            return (
                f"Both were judged on the same {mine.holdout.rows:,} rows, each in a measurement of its own: the numbers "
                "can be compared, but no interval is known for their difference."
            )
        return (
            "These two were never measured against each other: they were judged on other rows, so the numbers must not "
            "be subtracted."
        )


def version_details(store: ObjectStore, model: str, standing: VersionState) -> VersionDetails:
    """Read what the store holds about a version; all of it is immutable for one decision.

    Raises
    ------
    ObjectMissing, ObjectCorrupt
    """
    version = load_version(store, model, standing.version, digest=standing.record, model_file=standing.model_file)
    fit = fit_of(store, version)
    snapshot = Snapshot.load(store, model, version.snapshot)
    candidates = _candidates(store, version)
    decision = standing.decision
    if decision is None:
        return VersionDetails(version, fit, snapshot, None, None, None, None, candidates)
    config = ModelConfig.from_stored(get_content(store, f"{model}/configs", ".json", decision.config))
    page = page_of(store, config, version.snapshot)
    if decision.evidence is None:
        return VersionDetails(version, fit, snapshot, config, None, None, page, candidates)
    evidence = load_evidence(store, model, decision.evidence)
    incumbent = None if decision.incumbent is None else load_version(store, model, decision.incumbent)
    left = decision.lifetime["left"] if decision.lifetime else 0.0
    comparison = Comparison(version, incumbent, evidence, decision.evidence, left)
    return VersionDetails(version, fit, snapshot, config, comparison, comparison.judge(config.gate), page, candidates)


def _candidates(store: ObjectStore, version: Version) -> tuple[FitRecord, ...]:
    fits = [fit_of(store, version, key) for key in version.candidates.values()]
    return tuple(select_best(fits, None)) if fits else ()
