"""Draw the pages of models and of versions: what the registry found, through a template."""

from __future__ import annotations

import json
from datetime import datetime

from markupsafe import Markup

from include.audit.audit_log import AuditState
from include.config.model import ModelConfig
from include.config.names import METRICS
from include.config.settings import Settings
from include.evaluation.gains import Measured
from include.evaluation.report.labels import ROLE_LABELS
from include.registry.history import charts
from include.registry.history.recorded_measures import Later, judged_since, later
from include.registry.history.summary import History, VersionSummary, attention_needed
from include.registry.history.trained_on import describe_retractions
from include.registry.history.version_details import VersionDetails
from include.registry.naming.aliases import alias_moves
from include.storage.log import Entry
from ratchet_ui.access import Viewer
from ratchet_ui.actions import ON_MODELS, buttons_for, on_version
from ratchet_ui.attention import found_since, look_at
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.growth import stored_growth
from ratchet_ui.score_tables import scores_of, slices_of
from ratchet_ui.segment_table import segment_rows
from ratchet_ui.templating import draw

VERSIONS_ON_A_PAGE = 50
MODELS_ON_A_PAGE = 50
"""The number of models that the store is read for in one view of the overview."""
ALIAS_MOVES = 20
"""How many moves of aliases are shown, the newest."""
MEASURED = 60
"""The number of newest versions whose evidence is read, for facts that their decisions do not contain."""


def draw_models(cache: PageCache, viewer: Viewer, root: str, *, now: datetime, wanted: str = "", page: int = 1) -> str:
    """Draw the overview, restricted to models whose name, owner, task or description contains the wanted words.

    Where there are more than fit on a page, what needs a person is said of the models on the page.

    Parameters
    ----------
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    now : datetime
        The instant that ages and missed runs are counted to.
    wanted : str
        Words to look for; empty for all models that the viewer may read.
    page : int
        Page of the list of models, from 1.
    """
    declared, broken = cache.declared()
    seen = [model for name, model in declared.items() if viewer.may_read(name)]
    held = [model for model in seen if _holds(model, wanted)]
    pages = max(1, -(-len(held) // MODELS_ON_A_PAGE))
    page = min(page, pages)
    on_page = held[(page - 1) * MODELS_ON_A_PAGE : page * MODELS_ON_A_PAGE]
    looked_at = seen if len(seen) <= MODELS_ON_A_PAGE else on_page
    rows: list[tuple[ModelConfig, History, charts.Sparkline | None, list[str]]] = []
    attention: list[tuple[str, str, str]] = []
    if broken and viewer.may_see_import_errors():
        attention += [("broken", one.name, one.error.args[0]) for one in broken]
    shown = {model.declared_name for model in on_page}
    for model, (history, said) in zip(looked_at, look_at(cache, looked_at, now), strict=True):
        attention += [(kind, model.declared_name, sentence) for kind, sentence in said]
        if model.declared_name in shown:
            rows.append((model, history, charts.sparkline(history), [kind for kind, _ in said]))
    dags = [dag for model in looked_at for dag in _dags_that_ask(model.declared_name)]
    facts = {"rows": rows, "all": len(seen), "held": len(held), "wanted": wanted, "page": page, "pages": pages}
    return draw("models.html", root, **facts, attention=attention, dags=dags, now=now)


def _holds(model: ModelConfig, wanted: str) -> bool:
    text = " ".join((model.declared_name, *model.renamed_from, model.owner, model.task, model.description)).lower()
    return all(word in text for word in wanted.lower().split())


def draw_model(
    cache: PageCache, viewer: Viewer, model: str, root: str, *, page: int, now: datetime, metric: str | None = None
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
    config = cache.declared()[0].get(model)
    audited = cache.audited(model) if config and config.schedule.audit else AuditState()
    entries, history = cache.read(model)
    newest_first = history.versions[::-1]
    begin = (page - 1) * VERSIONS_ON_A_PAGE
    versions = newest_first[begin : begin + VERSIONS_ON_A_PAGE]
    timeless = config is not None and config.data.timeless
    said = [*(attention_needed(config, history, now) if config else ()), *found_since(cache, history)]
    metric = metric if metric in METRICS else None
    drawn = (model, len(entries), root, timeless, metric)
    return draw(
        "model.html",
        root,
        model=model,
        config=config,
        history=history,
        attention=[(kind, model, sentence) for kind, sentence in said],
        charts=cache.drawn.get(drawn, lambda: _charts(cache, history, root, metric, timeless=timeless)),
        versions=versions,
        estimators=cache.estimators(model, versions),
        page=page,
        pages=max(1, -(-len(newest_first) // VERSIONS_ON_A_PAGE)),
        buttons=buttons_for(viewer, ON_MODELS[:1] if timeless else ON_MODELS, model, {}),
        look=cache.last_look(model) if timeless else None,
        aliases=list(alias_moves(entries))[::-1][:ALIAS_MOVES],
        audited=audited,
        segments=segment_rows(cache, config.name) if config and config.segments else [],
        delivered=cache.delivered(model) if config and config.score.deliver else [],
        growth=stored_growth(cache, config) if config and config.is_tidied else None,
        dags=_dags_that_ask(model),
        now=now,
    )


def _dags_that_ask(model: str) -> list[str]:
    """Return the DAGs whose runs may wait for a person."""
    stages = Settings.from_environment().stage_models
    return [f"retrain_{model}", f"reconsider_{model}", *(f"promote_to_{stage}_{model}" for stage, _ in stages)]


def _charts(cache: PageCache, history: History, root: str, metric: str | None, *, timeless: bool) -> Markup:
    """Draw a history's pictures, which only a new event changes."""
    if not history.versions:
        return Markup()
    primary, champion = charts.primary_of(history), history.champion
    after = judged_since(history, champion)[-MEASURED:] if champion is not None else []
    decided = [
        c for c in history.versions if c.standing.decision is not None and c.standing.decision.evidence is not None
    ]
    # The primary metric is in the decisions; the newest evidence says which others can be chosen.
    recent = decided[-MEASURED:] if metric not in (None, primary) else decided[-1:]
    ids = {one.id for one in (*recent, *after, *([champion] if champion is not None else []))}
    known = cache.measurements(history.model, [one for one in history.versions if one.id in ids])
    metrics = tuple(dict.fromkeys(name for one in reversed(known.values()) for name in one.metrics))
    shown = metric if metric in metrics else primary
    measured = {c.id: Measured(*c.score) for c in history.versions if c.metric == primary}
    if shown is not None and shown != primary:
        found = {one.id: known[one.id].scores["challenger"].get(shown) for one in recent if one.id in known}
        measured = {version: one for version, one in found.items() if one is not None}
    since: list[Later] = []
    if champion is not None and champion.id in known and shown is not None:
        since = later(known[champion.id], [(c, known[c.id]) for c in after if c.id in known], shown)
    on_later = [(one.summary, one.measured) for one in since]
    facts = {
        "history": history,
        "timeless": timeless,
        "history_chart": charts.history_chart(history, timeless=timeless),
        "trend": charts.trend_chart(history, shown, measured, on_later, timeless=timeless) if shown else None,
        "metrics": metrics,
        "primary": primary,
        "since": since[::-1],
        "recent": MEASURED if shown != primary and len(history.versions) > MEASURED else None,
    }
    return Markup(draw("charts.html", root, link=f"{root}/ratchet/models/{history.model}", **facts))  # noqa: S704 (a template's own output)


def draw_version(cache: PageCache, viewer: Viewer, model: str, summary: VersionSummary, root: str) -> str:
    """Draw one version.

    Parameters
    ----------
    viewer : Viewer
        Decides which buttons the page has.
    summary : VersionSummary
        The version, from the model's history.
    root : str
        URL path under which Airflow serves the pages, before ``/ratchet``.
    """
    details = cache.details(model, summary)
    entries, history = cache.read(model)
    events = [entry for entry in entries if entry.body.get("version") == summary.id]
    given = {"version": summary.id, "model": model, "as_of": summary.as_of.isoformat()}
    return draw(
        "version.html",
        root,
        model=model,
        summary=summary,
        details=details,
        evidence=details.evidence,
        scores=None if details.evidence is None else scores_of(details.evidence),
        slices=() if details.evidence is None else slices_of(details.evidence),
        roles=ROLE_LABELS,
        next_in_line=history.next_in_line,
        events=events,
        retracted=describe_retractions(cache.retracted(model, summary)),
        run=_run(events),
        champion=history.champion,
        dags=_dags_that_ask(model),
        snippet=_snippet(cache, model, summary),
        raw=_raw(details, events),
        buttons=buttons_for(viewer, on_version(summary), model, given),
    )


def _run(events: list[Entry]) -> dict[str, str] | None:
    """Return the Airflow run that decided on a version, or else the one that registered it."""
    actors = [entry.body["actor"] for entry in reversed(events) if entry.kind in ("decided", "registered")]
    return next((actor for actor in actors if "run" in actor and "dag" in actor), None)


def _snippet(cache: PageCache, model: str, summary: VersionSummary) -> str:
    return f"""from include.notebook import load_model  # pip install <this repository>

model = load_model("{model}", "{summary.id}", store="{cache.settings.store}")
model.predict(frame)  # rows as the source delivers them: prediction, label, out_of_domain
model.card"""


def _raw(details: VersionDetails, events: list[Entry]) -> list[tuple[str, str]]:
    parts = {
        "Events": [vars(entry) for entry in events],
        "Version": details.version.to_json(),
        "Fit": details.fit.to_json(),
        "Snapshot": details.snapshot.to_json(),
        "Configuration": None if details.config is None else details.config.to_json(),
    }
    return [(name, json.dumps(value, indent=2)) for name, value in parts.items() if value is not None]
