"""Draw the pages: what a room of include/ found, through a template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment
from markupsafe import Markup

from include.audit.audit_log import AuditState
from include.config.model import ModelConfig
from include.config.names import METRICS
from include.data.random_split import describe_window
from include.errors import RatchetError
from include.evaluation.evidence import Evidence
from include.evaluation.gains import CHURN_UNITS, Gain, Measured, PredictionChurn, Role
from include.evaluation.report.labels import ROLE_LABELS, greater_is_better, metric_name
from include.evaluation.report.plots import WIDTH, Forest, Interval
from include.leakage.tripwire import QUESTIONS
from include.registry.history import charts
from include.registry.history.recorded_measures import Later, judged_since, later
from include.registry.history.summary import History, VersionSummary, attention_needed
from include.registry.history.version_details import VersionDetails
from include.registry.history.version_differences import differences
from include.registry.naming.aliases import alias_moves
from include.storage.log import Entry
from include.templates import templates_beside
from ratchet_ui.access import Viewer
from ratchet_ui.files import address
from ratchet_ui.page_cache import PageCache

VERSIONS_ON_A_PAGE = 50
LEVELS = 12
"""How many levels of one slice are shown."""
ALIAS_MOVES = 20
"""How many moves of aliases are shown, the newest."""
MEASURED = 60
"""Of how many versions, the newest, the evidence is read for what their decisions do not say."""


@dataclass(frozen=True)
class Action:
    """A DAG that can be triggered from a page, by the first part of its id."""

    family: str
    label: str
    help: str


ON_MODELS = (
    Action("retrain", "Retrain", "Train and judge a challenger as of a date of your choice."),
    Action("score", "Score", "Predict with the champion in force at a date."),
)
ROLL_BACK = Action("rollback", "Roll back", "Withdraw this version; the champion before it is back in force.")
QUARANTINE = Action("rollback", "Quarantine", "Withdraw this version for good, so that it can never come into force.")
REPRODUCE = Action("reproduce", "Reproduce", "Train this version again from its recorded inputs and compare the bytes.")


def on_version(chapter: VersionSummary) -> tuple[Action, ...]:
    """Return what can be done with a version: one that was never promoted can't be rolled back, a withdrawn one is."""
    if chapter.standing.withdrawn is not None:
        return (REPRODUCE,)
    return (ROLL_BACK if chapter.standing.in_line else QUARANTINE, REPRODUCE)


@dataclass(frozen=True)
class Button:
    """An action that this viewer may take here."""

    action: Action
    dag: str
    conf: str
    """JSON of the form's fields that the page knows already."""


def draw_models(shelf: PageCache, viewer: Viewer, root: str, *, now: datetime, wanted: str = "") -> str:
    """Draw the overview; of the models only those whose name, owner, task or description holds the wanted words.

    Parameters
    ----------
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    now : datetime
        The instant that ages and missed runs are counted to.
    wanted : str
        Words to look for; empty for all models that the viewer may read.
    """
    declared, broken = shelf.declared()
    seen = [model for name, model in declared.items() if viewer.may_read(name)]
    told = shelf.histories([model.name for model in seen])
    problems = shelf.library_problems({name: one for name, one in told.items() if isinstance(one, History)})
    rows: list[tuple[ModelConfig, History, charts.Sparkline | None, list[str]]] = []
    attention: list[tuple[str, str, str]] = []
    if broken and viewer.may_see_import_errors():
        attention += [("broken", one.name, one.error.args[0]) for one in broken]
    for model in seen:
        found = told[model.name]
        if isinstance(found, RatchetError):
            attention.append(("unreadable", model.name, f"its ledger can't be read: {found.message}"))
            found = History(model.name, ())
        attention += [(kind, model.name, sentence) for kind, sentence in attention_needed(model, found, now)]
        attention += [("audit", model.name, sentence) for sentence in _audit_failed(shelf, model)]
        attention += [("libraries", model.name, problems[model.name])] if model.name in problems else []
        alarms = [kind for kind, name, _ in attention if name == model.name]
        if _holds(model, wanted):
            rows.append((model, found, charts.sparkline(found), alarms))
    dags = [dag for model in seen for dag in _dags_that_ask(model.name)]
    facts = {"rows": rows, "all": len(seen), "wanted": wanted, "attention": attention, "dags": dags}
    return draw("models.html", root, **facts, now=now)


def _holds(model: ModelConfig, wanted: str) -> bool:
    text = " ".join((model.name, model.owner, model.task, model.description)).lower()
    return all(word in text for word in wanted.lower().split())


def draw_model(
    shelf: PageCache, viewer: Viewer, model: str, root: str, *, page: int, now: datetime, metric: str | None = None
) -> str:
    """Draw one model, its trend by the primary metric or another one that was measured.

    Parameters
    ----------
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    page : int
        Page of the list of versions, from 1.
    now : datetime
        The instant that ages and missed runs are counted to.
    metric : str, optional
        Name of the metric that the trend shows; the primary one without it, or if the name is unknown.
    """
    config = shelf.declared()[0].get(model)
    audited = shelf.audited(model) if config and config.schedule.audit else AuditState()
    entries, told = shelf.read(model)
    newest_first = told.chapters[::-1]
    begin = (page - 1) * VERSIONS_ON_A_PAGE
    chapters = newest_first[begin : begin + VERSIONS_ON_A_PAGE]
    timeless = config is not None and config.data.timeless
    metric = metric if metric in METRICS else None
    drawn = (model, len(entries), root, timeless, metric)
    return draw(
        "model.html",
        root,
        model=model,
        config=config,
        told=told,
        attention=[
            *([(kind, model, sentence) for kind, sentence in attention_needed(config, told, now)] if config else []),
            *[("libraries", name, sentence) for name, sentence in shelf.library_problems({model: told}).items()],
        ],
        charts=shelf.drawn.get(drawn, lambda: _charts(shelf, told, root, metric, timeless=timeless)),
        chapters=chapters,
        estimators=shelf.estimators(model, chapters),
        page=page,
        pages=max(1, -(-len(newest_first) // VERSIONS_ON_A_PAGE)),
        buttons=buttons_for(viewer, ON_MODELS[:1] if timeless else ON_MODELS, model, {}),
        look=shelf.last_look(model) if timeless else None,
        aliases=list(alias_moves(entries))[::-1][:ALIAS_MOVES],
        audited=audited,
        dags=_dags_that_ask(model),
        now=now,
    )


def _audit_failed(shelf: PageCache, model: ModelConfig) -> Iterator[str]:
    """Yield a sentence if audits of a model that is audited found something wrong that stands."""
    if model.schedule.audit is None:
        return
    try:
        wrong = shelf.audited(model.name).wrong
    except RatchetError as error:
        yield f"its audits can't be read: {error.message}"
        return
    if wrong:
        yield f"{len(wrong)} things on record are not what they were; its page names them."


def _dags_that_ask(model: str) -> list[str]:
    """Return the DAGs whose runs may wait for a person."""
    return [f"retrain_{model}", f"reconsider_{model}"]


def _charts(shelf: PageCache, told: History, root: str, metric: str | None, *, timeless: bool) -> Markup:
    """Draw a history's pictures, which only a new event changes."""
    if not told.chapters:
        return Markup()
    primary, champion = charts.primary_of(told), told.champion
    recent = shelf.measurements(told.model, told.chapters[-MEASURED:])
    metrics = tuple(dict.fromkeys(name for one in reversed(recent.values()) for name in one.metrics))
    shown = metric if metric in metrics else primary
    measured = {c.id: Measured(*c.score) for c in told.chapters if c.metric == primary}
    if shown is not None and shown != primary:
        found = {version: one.scores["challenger"].get(shown) for version, one in recent.items()}
        measured = {version: one for version, one in found.items() if one is not None}
    since: list[Later] = []
    if champion is not None and shown is not None:
        after = judged_since(told, champion)[-MEASURED:]
        known = shelf.measurements(told.model, [champion, *after])
        if champion.id in known:
            since = later(known[champion.id], [(c, known[c.id]) for c in after if c.id in known], shown)
    on_later = [(one.chapter, one.measured) for one in since]
    facts = {
        "told": told,
        "timeless": timeless,
        "history_chart": charts.history_chart(told, timeless=timeless),
        "trend": charts.trend_chart(told, shown, measured, on_later, timeless=timeless) if shown else None,
        "metrics": metrics,
        "primary": primary,
        "since": since[::-1],
        "recent": MEASURED if shown != primary and len(told.chapters) > MEASURED else None,
    }
    return Markup(draw("charts.html", root, link=f"{root}/ratchet/models/{told.model}", **facts))  # noqa: S704 (a template's own output)


def draw_version(shelf: PageCache, viewer: Viewer, model: str, chapter: VersionSummary, root: str) -> str:
    """Draw one version.

    Parameters
    ----------
    viewer : Viewer
        Decides which buttons the page has.
    chapter : VersionSummary
        The version, from the model's history.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    dossier = shelf.dossier(model, chapter)
    entries, told = shelf.read(model)
    events = [entry for entry in entries if entry.body.get("version") == chapter.id]
    given = {"version": chapter.id, "model": model, "as_of": chapter.as_of.isoformat()}
    return draw(
        "version.html",
        root,
        model=model,
        chapter=chapter,
        dossier=dossier,
        evidence=dossier.evidence,
        scores=None if dossier.evidence is None else _scores(dossier.evidence),
        slices=() if dossier.evidence is None else _slices(dossier.evidence),
        roles=ROLE_LABELS,
        next_in_line=told.next_in_line,
        events=events,
        run=_run(events),
        champion=told.champion,
        dags=_dags_that_ask(model),
        snippet=_snippet(shelf, model, chapter),
        raw=_raw(dossier, events),
        buttons=buttons_for(viewer, on_version(chapter), model, given),
    )


def draw_comparison(shelf: PageCache, model: str, one: VersionSummary, other: VersionSummary, root: str) -> str:
    """Draw two versions side by side, the older one first.

    Parameters
    ----------
    one, other : VersionSummary
        The older and the newer version.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    mine, theirs = shelf.dossier(model, one), shelf.dossier(model, other)
    return draw(
        "compare.html",
        root,
        model=model,
        one=one,
        other=other,
        titles=_titles(one, other),
        apart=mine.judged_with(theirs),
        differences=differences(mine, theirs),
        paired=_paired(one, other, mine, theirs),
        churn_of=CHURN_UNITS[mine.fit.task],
        metrics=_metrics_of_both(mine.evidence, theirs.evidence),
    )


def _titles(one: VersionSummary, other: VersionSummary) -> tuple[str, str]:
    """Return the versions' instants, with the beginning of the id where they read the same."""
    days = _day(one.as_of), _day(other.as_of)
    return days if days[0] != days[1] else (f"{days[0]} ({_short(one.id)})", f"{days[1]} ({_short(other.id)})")


def buttons_for(viewer: Viewer, actions: tuple[Action, ...], model: str, given: dict[str, str]) -> list[Button]:
    """Return the actions that a viewer may take, as buttons of a page.

    Parameters
    ----------
    actions : tuple of Action
        The actions that the page offers.
    model : str
        Name of the model; with the action's family it names the DAG.
    given : dict of str to str
        Values that the trigger form is filled with.
    """
    dags = [(action, f"{action.family}_{model}") for action in actions]
    return [Button(action, dag, json.dumps(given)) for action, dag in dags if viewer.may_trigger(dag)]


def _run(events: list[Entry]) -> dict[str, str] | None:
    """Return the Airflow run that decided on a version, or else the one that registered it."""
    actors = [entry.body["actor"] for entry in reversed(events) if entry.kind in ("decided", "registered")]
    return next((actor for actor in actors if "run" in actor and "dag" in actor), None)


@dataclass(frozen=True)
class ScoreRow:
    """One line of a table of gains."""

    name: str
    support: int
    scores: dict[str, Measured]
    gain: Gain | None
    interval: Interval | None


@dataclass(frozen=True)
class ScoreTable:
    """Lines that share one scale; gains are those over ``against``."""

    against: str
    roles: tuple[str, ...]
    rows: tuple[ScoreRow, ...]
    forest: Forest


def _table(
    against: str, roles: tuple[str, ...], lines: list[tuple[str, int, dict[str, Measured], Gain | None]]
) -> ScoreTable:
    drawn = [_ends(gain) for *_, gain in lines]
    forest = Forest.of([ends for ends in drawn if ends is not None])
    rows = tuple(
        ScoreRow(*line, None if e is None else forest.interval(*e)) for line, e in zip(lines, drawn, strict=True)
    )
    return ScoreTable(against, roles, rows, forest)


def _scores(evidence: Evidence) -> ScoreTable:
    """Return every metric of every role on the version's own holdout."""
    against = evidence.opponent
    roles = tuple(role for role in ROLE_LABELS if role in evidence.scores)
    return _table(
        against,
        roles,
        [
            (
                metric_name(metric),
                evidence.holdout.rows,
                {role: evidence.scores[role][metric] for role in roles},
                evidence.gain(metric, against),
            )
            for metric in evidence.metrics
        ],
    )


def _slices(evidence: Evidence, roles: tuple[Role, ...] = ()) -> tuple[tuple[str, ScoreTable], ...]:
    """Return the primary metric on the largest levels of each slice column."""
    primary, against = evidence.metrics[0], evidence.opponent
    roles = roles or ("challenger", against)
    slices = []
    for column in dict.fromkeys(found.column for found in evidence.slice_scores):
        levels = sorted((s for s in evidence.slice_scores if s.column == column), key=lambda s: -s.support)[:LEVELS]
        lines: list[tuple[str, int, dict[str, Measured], Gain | None]] = [
            (
                level.level,
                level.support,
                {str(role): level.scores[role][primary] for role in roles if role in level.scores},
                evidence.gain(primary, against, (column, level.level)),
            )
            for level in levels
        ]
        slices.append((column, _table(against, roles, lines)))
    return tuple(slices)


@dataclass(frozen=True)
class Paired:
    """Two versions measured on identical rows: the newer as challenger, the older as its incumbent."""

    holdout_rows: int
    metrics: ScoreTable
    slices: tuple[tuple[str, ScoreTable], ...]
    churn: tuple[PredictionChurn, ...]
    """How many predictions change from the older to the newer: on all rows, then by level, the most changed first."""


def _paired(one: VersionSummary, other: VersionSummary, mine: VersionDetails, theirs: VersionDetails) -> Paired | None:
    """Return the evidence between two versions, if one was measured against the other."""
    for newer, older in ((theirs, one), (mine, other)):
        evidence = newer.evidence
        if evidence is None or evidence.incumbent != older.id or not evidence.comparable:
            continue
        roles: tuple[Role, ...] = ("incumbent", "challenger")
        metrics = _scores(evidence)
        churn = sorted(evidence.churn, key=lambda one: (one.slice is not None, -(one.share.value or 0.0)))
        table = ScoreTable("incumbent", roles, metrics.rows, metrics.forest)
        slices = _slices(evidence, roles)
        return Paired(evidence.holdout.rows, table, slices, tuple(churn[: LEVELS + 1]))
    return None


def _metrics_of_both(
    mine: Evidence | None, theirs: Evidence | None
) -> list[tuple[str, Measured | None, Measured | None]]:
    """Return each version's metrics on its own holdout."""
    ours = {} if mine is None else mine.scores["challenger"]
    others = {} if theirs is None else theirs.scores["challenger"]
    return [(metric_name(name), ours.get(name), others.get(name)) for name in dict.fromkeys([*ours, *others])]


def _ends(gain: Gain | None) -> tuple[float, float, float] | None:
    if gain is None or gain.estimate is None:
        return None
    low, high = gain.bound(0.975), gain.upper(0.975)
    return None if low is None or high is None else (low, gain.estimate, high)


def _snippet(shelf: PageCache, model: str, chapter: VersionSummary) -> str:
    return f"""from include.notebook import load_model  # pip install <this repository>

model = load_model("{model}", "{chapter.id}", store="{shelf.settings.store}")
model.predict(frame)  # rows as the source delivers them: prediction, label, out_of_domain
model.card"""


def _raw(dossier: VersionDetails, events: list[Entry]) -> list[tuple[str, str]]:
    parts = {
        "Events": [vars(entry) for entry in events],
        "Version": dossier.version.to_json(),
        "Fit": dossier.fit.to_json(),
        "Snapshot": dossier.snapshot.to_json(),
        "Configuration": None if dossier.config is None else dossier.config.to_json(),
    }
    return [(name, json.dumps(value, indent=2)) for name, value in parts.items() if value is not None]


def draw(template: str, root: str, **facts: Any) -> str:
    """Return a page."""
    return _environment().get_template(template).render(root=root, at=f"{root}/ratchet", **facts)


@cache
def _environment() -> Environment:
    environment = templates_beside(__file__)
    environment.filters |= {
        "metric": metric_name,
        "number": _number,
        "gain": _signed,
        "day": _day,
        "short": _short,
        "direction": lambda metric: "higher is better" if greater_is_better(metric) else "lower is better",
        "age": _age,
        "segment": lambda text: quote(text, safe=""),
    }
    environment.globals |= {
        "style": address("pages.css"),
        "interval_width": WIDTH,
        "between": _between,
        "tripwire_questions": QUESTIONS,
    }
    return environment


def _number(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.1f}"


def _signed(value: float | None) -> str:
    if value is None:
        return "\N{EN DASH}"
    text = _number(abs(value))
    return text if float(text.replace(",", "")) == 0 else ("+" if value > 0 else "\N{MINUS SIGN}") + text


def _between(window: Any) -> str:
    """Return how a person would call a window: by its days, or by its share of a table without time."""
    bounds = [datetime.fromisoformat(b) if isinstance(b, str) else b for b in (window.after, window.until)]
    return describe_window(*bounds) or f"after {_day(bounds[0])} until {_day(bounds[1])}"


def _day(instant: datetime | str) -> str:
    when = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    clock = f", {when:%H:%M} UTC" if (when.hour, when.minute) != (0, 0) else ""
    return f"{when.day} {when:%b %Y}{clock}"


def _short(version: str) -> str:
    """Return what tells versions apart for the eye: the digest's beginning."""
    return version.rpartition("-")[2][:10]


def _age(instant: datetime, now: datetime) -> str:
    days = (now - instant).days
    for size, unit in ((365.25, "year"), (30.44, "month"), (1, "day")):
        if days >= 2 * size or (unit == "day" and days >= 1):
            count = int(days / size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "today" if days >= 0 else "in the future"
