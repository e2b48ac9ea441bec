"""Withdraw a champion that probation found worse than its predecessor, with that evidence on record."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from include.config.model import ModelConfig
from include.monitoring.performance.probation import ProbationState, ProbationVerdict
from include.monitoring.watch_log import VERDICT, WatchLog, paired_in
from include.registry.ledger import Ledger
from include.storage.content import canonical_json, put_content


def withdraw_if_worse(
    ledger: Ledger, model: ModelConfig, version: str, *, actor: dict[str, Any], at: datetime
) -> str | None:
    """Withdraw a champion whose probation ended with *worse*, if the model declares it; a repeated call does nothing.

    What it is judged by is the verdict on record, and the pairs until then. A version that is no longer the champion is left alone, and so
    is one whose predecessor was withdrawn since: it was not compared with the version that would be in force then.

    Parameters
    ----------
    version : str
        Id of the champion on probation.
    actor : dict
        Who withdraws, for the record.
    at : datetime
        When, for the record.

    Returns
    -------
    str or None
        The reason that goes on record, if it was withdrawn by this call.
    """
    timeline = ledger.timeline()
    own, champion = timeline.original_of(version), timeline.champion
    if model.watch.probation.on_worse != "withdraw" or champion is None or timeline.original_of(champion) != own:
        return None
    before = timeline.original_of(timeline.incumbent_of(champion))
    entries = WatchLog(ledger.store, model.name).entries()
    for entry in entries:
        body = entry.body
        if entry.kind != VERDICT or (body["version"], body["predecessor"]) != (own, before):
            continue
        if body["verdict"] != ProbationVerdict.WORSE:
            continue
        pairs = [
            one.to_json()
            for one in paired_in(entries, version, body["predecessor"])
            if one.to_json()["until"] <= body["until"]
        ]
        probation = {
            "verdict": body,
            "pairs": pairs,
            "declared": model.watch.probation.model_dump(mode="json"),
            "metric": model.gate.primary.metric,
            "confidence": model.gate.primary.confidence,
        }
        evidence = put_content(ledger.store, f"{model.name}/watch/probations", ".json", canonical_json(probation))
        reason = f"Probation: {withdrawal_reason(model, body['predecessor'], ProbationState.from_json(body))}"
        ledger.withdraw(champion, reason, actor=actor, at=at, evidence=evidence)
        return reason
    return None


def withdrawal_reason(model: ModelConfig, predecessor: str, standing: ProbationState) -> str:
    """Return the state of a probation as a sentence."""
    metric, rows = model.gate.primary.metric, f"{standing.rows:,} labelled rows of {standing.intervals} intervals"
    if standing.gain is None:
        return f"no interval has told anything about {metric} beside {predecessor} yet"
    bounds = "" if standing.low is None else f" ({standing.low:+.4f} to {standing.high:+.4f})"
    word = "still open" if standing.verdict is ProbationVerdict.RUNNING else standing.verdict.value
    return f"{word}: {metric} differs by {standing.gain:+.4f}{bounds} from that of {predecessor}, on {rows}"
