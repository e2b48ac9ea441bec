"""The model card of a version, with the verdict that it was given."""

from __future__ import annotations

from include.config.model import ModelConfig
from include.evaluation.report.card import render_card
from include.registry.decisions import Comparison
from include.registry.gate.judgement import Judgement
from include.registry.version_states import Decision
from include.storage.content import put_content
from include.storage.store import ObjectStore


def save_card(store: ObjectStore, model: ModelConfig, comparison: Comparison, judgement: Judgement) -> str:
    """Draw the card, keep it in the store, and return its digest.

    Parameters
    ----------
    comparison : Comparison
        What was measured.
    judgement : Judgement
        What the gate decided.
    """
    return put_content(store, f"{model.name}/cards", ".html", draw_card(model, comparison, judgement).encode())


def draw_card(
    model: ModelConfig,
    comparison: Comparison,
    judgement: Judgement,
    decision: Decision | None = None,
    retracted: str = "",
) -> str:
    """Return the card's page; the same arguments give the same text.

    Parameters
    ----------
    decision : Decision, optional
        The recorded decision, if a person took part in it; otherwise the gate's own verdict is shown.
    retracted : str
        What was taken back since of the rows that the version was trained or judged on.
    """
    version = comparison.challenger
    told = judgement if decision is None else decision
    return render_card(
        comparison.evidence,
        title=model.description,
        verdict=told.reason,
        outcome=str(told.outcome),
        failed=version.failed,
        retracted=retracted,
        about={} if model.about is None else model.about.said(),
        rules=[(verdict.rule, verdict.answer.value, verdict.reason) for verdict in judgement.verdicts],
        lineage={
            "version": version.id,
            "owner": model.owner,
            "snapshot": version.snapshot,
            "fit": version.fit,
            "model file": version.model_file,
            "evidence": comparison.digest,
            "incumbent": comparison.incumbent.id if comparison.incumbent else "none",
        },
    )
