"""Commands that read the registry: models, champions, versions, comparisons and verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from include.command_line.ledger_queries import ledger_of
from include.command_line.ledger_table import draw_table, format_number
from include.command_line.store import store_of_settings
from include.config.load import load_models
from include.config.names import METRICS
from include.config.sections.rows.segments import owner_of
from include.config.settings import Settings
from include.errors import RatchetError
from include.evaluation.evidence import Evidence
from include.evaluation.gains import CHURN_UNITS
from include.registry import verification
from include.registry.history.summary import History, attention_needed, history
from include.registry.history.version_details import VersionDetails, version_details
from include.registry.history.version_differences import differences
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_version
from include.registry.version_states import VersionState
from include.registry.versions import fit_of
from include.training.model_selection.candidate_selection import ranked


def models(now: datetime) -> str:
    """Return every declared model with its champion and what needs a look.

    Parameters
    ----------
    now : datetime
        The instant that ages are counted to.
    """
    settings = Settings.from_environment()
    store = store_of_settings()
    declared, broken = load_models(settings.models)
    rows = []
    for model in declared:
        try:
            told = history(model.declared_name, Ledger(store, model.name).timeline())
        except RatchetError as error:
            rows.append([model.declared_name, model.task, "?", "", "", "", f"unreadable: {error.message}"])
            continue
        rows.append(
            [
                model.declared_name,
                model.task,
                *_in_force(told),
                ", ".join(kind for kind, _ in attention_needed(model, told, now)),
            ]
        )
    rows += [[one.name, "?", "", "", "", "", "broken: see `lint`"] for one in broken]
    return draw_table(["model", "task", "champion", "metric", "value", "last outcome", "needs a look"], rows)


def _in_force(told: History) -> list[str]:
    champion, newest = told.champion, told.newest
    last = newest.status.value if newest else "no version yet"
    if champion is None:
        return ["none", "", "", last]
    return [champion.id, champion.metric or "", format_number(champion.score[0]), last]


def champion(model: str, instant: datetime | None) -> str:
    """Return the champion, now or as of an instant, and why it is.

    Parameters
    ----------
    instant : datetime, optional
        Ask for the champion as of then.
    """
    timeline = ledger_of(model).timeline()
    version = timeline.champion if instant is None else timeline.champion_as_of(instant)
    if version is None:
        return f"{model} has no champion" + ("." if instant is None else f" as of {instant:%Y-%m-%d %H:%M}.")
    decision = timeline[version].decision
    assert decision is not None  # noqa: S101 (a champion was decided on)
    over = " It was promoted over the gate." if decision.overrides else ""
    return f"{version}\n{decision.reason}{over}"


def trials(model: str, wanted: str | None, best: int) -> str:
    """Return the best trials of each search of a version's retraining, as ``search.start`` takes them.

    Parameters
    ----------
    wanted : str or None
        The version's id, the beginning of it or an alias; None for the newest, promoted or not.
    best : int
        How many of each search.
    """
    ledger = ledger_of(model)
    timeline = ledger.timeline()
    version = find_version(timeline, wanted or timeline.standings[-1].version)
    record, parts = ledger.version(version), []
    for name, key in sorted(record.candidates.items()):
        fit = fit_of(ledger.store, record, key)
        made = [one for one in fit.trials or () if one.cv is not None]
        most = max((one.share for one in made), default=1.0)
        whole = [one for one in made if one.share == most]
        metric = whole[0].cv.metric if whole and whole[0].cv else ""
        order = (
            ranked([one.folds for one in whole], greater_is_better=METRICS[metric].greater_is_better) if whole else []
        )
        searched = [
            key for key in (made[0].params if made else {}) if len({str(one.params.get(key)) for one in made}) > 1
        ]
        lines = []
        for one in (whole[place] for place in order[:best]):
            settings = json.dumps({key: one.params[key] for key in searched})
            lines.append(f"  - {settings}  # {one.cv.mean:.4f}" if one.cv else f"  - {settings}")
        if searched:
            parts.append(
                "\n".join([f"# {name}: the best of {len(made)} trials of {version}, by {metric}", "start:", *lines])
            )
    return "\n".join(parts) or f"Nothing was searched for {version}: no candidate has a `search`."


def compare(model: str, one: str, other: str) -> str:
    """Return what differs between two versions, and what was measured between them; the older one first."""
    ledger = ledger_of(model)
    timeline = ledger.timeline()
    pair = sorted(
        (timeline[find_version(timeline, name)] for name in (one, other)), key=lambda standing: standing.order
    )
    older, newer = (version_details(ledger.store, ledger.model, standing) for standing in pair)
    parts = ["\n".join(_told(standing) for standing in pair), _measured(pair, older, newer)]
    for name, rows in differences(older, newer).items():
        parts.append(draw_table([name, *_titles(pair)], [[r.name, r.one or "-", r.other or "-"] for r in rows]))
    return "\n\n".join(parts)


def _titles(pair: list[VersionState]) -> list[str]:
    """Return the versions' days, or what tells the two apart where it is one day."""
    days = [f"{standing.as_of:%Y-%m-%d}" for standing in pair]
    return days if days[0] != days[1] else [standing.version.partition("-")[2] for standing in pair]


def _told(standing: VersionState) -> str:
    state = "withdrawn" if standing.withdrawn else standing.decision.outcome if standing.decision else "undecided"
    return f"{standing.version}  {state}"


def _measured(pair: list[VersionState], older: VersionDetails, newer: VersionDetails) -> str:
    for evidence, against in ((newer.evidence, pair[0]), (older.evidence, pair[1])):
        if evidence is not None and evidence.incumbent == against.version and evidence.comparable:
            return _paired(evidence)
    return older.judged_with(newer)


def _paired(evidence: Evidence) -> str:
    rows = []
    for metric in evidence.metrics:
        gain = evidence.gain(metric, "incumbent")
        scores = [evidence.scores[role][metric].value for role in ("incumbent", "challenger")]
        bounds = (
            ""
            if gain is None or gain.estimate is None
            else f"{format_number(gain.bound(0.975), sign=True)} .. {format_number(gain.upper(0.975), sign=True)}"
        )
        rows.append(
            [metric, *map(format_number, scores), format_number(gain.estimate if gain else None, sign=True), bounds]
        )
    head = [f"on the same {evidence.holdout.rows:,} rows", "older", "newer", "gain", "two-sided 95 % interval"]
    churn = next((one.share.value for one in evidence.churn if one.slice is None), None)
    if churn is None:
        return draw_table(head, rows)
    return f"{draw_table(head, rows)}\n\nprediction churn: {churn:.2%} {CHURN_UNITS[evidence.task]}"


def verify(model: str, say: Callable[[str], None]) -> bool:
    """Read everything that the ledger of a model names from the store again, and tell whether all of it is sound.

    Parameters
    ----------
    say : callable
        Takes a line for each thing that was looked at.
    """
    sound = True
    for one in verification.verify(ledger_of(model), Settings.from_environment().models / owner_of(model)):
        say(f"  {one.state:6} {one.what}: {one.found}")
        sound &= one.state != "wrong"
    return sound
