"""The model card of a version, with the verdict that it was given."""

from __future__ import annotations

from include.config.model import ModelConfig
from include.evaluation.card import render_card
from include.registry.gate import Judgement
from include.registry.ledger import Comparison
from include.storage.content import put_content
from include.storage.store import ObjectStore


def save_card(store: ObjectStore, model: ModelConfig, comparison: Comparison, judgement: Judgement) -> str:
    """Draw the card, keep it in the store, and return its digest."""
    return put_content(store, f"{model.name}/cards", ".html", draw_card(model, comparison, judgement).encode())


def draw_card(model: ModelConfig, comparison: Comparison, judgement: Judgement) -> str:
    """Return the card's page; the same comparison and judgement give the same text."""
    version = comparison.challenger
    return render_card(
        comparison.evidence,
        title=model.description,
        verdict=judgement.reason,
        outcome=str(judgement.outcome),
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
