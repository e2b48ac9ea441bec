"""The number of labelled rows that a HOLD asked for."""

from __future__ import annotations

from include.config.sections.evaluation import Gate
from include.evaluation.evidence import Evidence
from include.evaluation.gains import Gain
from include.registry.gate.answered_requests import requests_wanted
from include.registry.gate.bounds import measured_value
from include.registry.gate.guards import accepted_loss
from include.registry.gate.power import more_rows


def rows_wanted(policy: Gate, evidence: Evidence) -> int | None:
    """Return about how many more labelled rows decide, if the estimates stay, the open rules on gains and levels.

    Returns
    -------
    int or None
        None if more rows would not help, or if what is open is no question of their number.
    """
    primary = policy.primary
    least = 0.0 - (primary.margin or 0.0) if evidence.incumbent is not None else 0.0
    asked = [_of_gain(evidence.gain(primary.metric, evidence.opponent), least, primary.confidence)]
    asked += [
        _of_gain(evidence.gain(primary.metric, one), 0.0, primary.confidence) for one in ("trivial", "simple", "pooled")
    ]
    for guard in policy.guards:
        if guard.slice is None and evidence.incumbent is not None:
            accepted = accepted_loss(guard, measured_value(evidence, guard.metric, "incumbent"))
            if accepted is not None:
                asked.append(_of_gain(evidence.gain(guard.metric, "incumbent"), -accepted.surely, primary.confidence))
    for require in policy.require:
        level = require.at_least if require.at_least is not None else require.at_most
        found = evidence.scores.get("challenger", {}).get(require.metric)
        if found is not None and level is not None and found.low is not None and found.high is not None:
            asked.append(more_rows(found.value, level, found.low, found.high, evidence.holdout.rows))
    if policy.canary is not None and evidence.incumbent is not None:
        asked.append(requests_wanted(policy.canary, evidence.canary))
    known = [one for one in asked if one is not None]
    return None if asked[0] is None else max(known) or None


def _of_gain(gain: Gain | None, least: float, confidence: float) -> int | None:
    if gain is None or gain.estimate is None:
        return None
    low, high = gain.bound(confidence), gain.upper(confidence)
    if low is None or high is None:
        return None
    return more_rows(gain.estimate, least, low, high, gain.support)
