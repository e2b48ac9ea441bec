"""The routes under ``/ratchet``: all of them only read, and every one asks Airflow who is asking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, NoReturn

from fastapi import FastAPI, HTTPException, Path, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response

from include.config.model import ModelConfig
from include.config.settings import Settings
from include.errors import ObjectMissing, RatchetError
from include.evaluation.evidence import load_evidence
from include.evaluation.report.figures import FIGURES
from include.registry.history.card_files import draw_card
from include.registry.history.summary import History, VersionSummary
from include.registry.history.trained_on import describe_retractions
from include.storage.content import get_content
from ratchet_ui.access import ASKED_OF_EVERY_ROUTE, Viewer, ViewerDep
from ratchet_ui.cache.page_cache import PageCache, page_cache
from ratchet_ui.comparison_page import draw_comparison
from ratchet_ui.distributions_page import draw_distributions
from ratchet_ui.files import FILES
from ratchet_ui.pages import draw_model, draw_models, draw_version
from ratchet_ui.response_headers import FOR_GOOD, WITH_STYLES, ResponseHeaders
from ratchet_ui.watch_pages import draw_alarm, draw_watch

app = FastAPI(title="Ratchet", dependencies=ASKED_OF_EVERY_ROUTE, docs_url=None, redoc_url=None, openapi_url=None)

app.add_middleware(ResponseHeaders)

_NOT_THERE = "There is no such page, or you may not read this model's DAG."

Model = Annotated[str, Path(pattern="^[a-z][a-z0-9_]{0,62}$")]
Version = Annotated[str, Path(pattern="^([0-9a-fTZ-]{4,27}|[a-z][a-z0-9_.-]{0,62})$")]
"""A version's id, the beginning of it or of its digest, or an alias."""
Alarm = Annotated[str, Path(pattern="^[0-9a-f]{12}$")]
Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@app.exception_handler(RatchetError)
def unavailable(_: Request, error: Exception) -> JSONResponse:
    """Return the page that explains why the store did not answer."""
    return JSONResponse({"detail": error.args[0] if error.args else type(error).__name__}, 503)


@app.get("/models", response_class=HTMLResponse)
def models(
    request: Request,
    viewer: ViewerDep,
    q: Annotated[str, Query(max_length=100)] = "",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
) -> HTMLResponse:
    """Return the overview of the models that the viewer may read, or of those that match some words."""
    return HTMLResponse(draw_models(_cache(), viewer, _root(request), now=datetime.now(UTC), wanted=q, page=page))


@app.get("/models/{model}", response_class=HTMLResponse)
def model(
    request: Request,
    viewer: ViewerDep,
    model: Model,
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    metric: Annotated[str | None, Query(max_length=100)] = None,
) -> HTMLResponse:
    """Return one model: its champions, its metric over time, its versions."""
    model = _readable(viewer, model)
    return HTMLResponse(
        draw_model(_cache(), viewer, model, _root(request), page=page, now=datetime.now(UTC), metric=metric)
    )


@app.get("/models/{model}/watch", response_class=HTMLResponse)
def watch(request: Request, viewer: ViewerDep, model: Model) -> HTMLResponse:
    """Return how a model's champion is watched."""
    return HTMLResponse(draw_watch(_cache(), viewer, _declared(viewer, model), _root(request)))


@app.get("/models/{model}/watch/{alarm}", response_class=HTMLResponse)
def alarm(request: Request, viewer: ViewerDep, model: Model, alarm: Alarm) -> HTMLResponse:
    """Return what an alarm is about."""
    config = _declared(viewer, model)
    report = _cache().watched(config)
    found = None if report is None else next((one for one in report.alarms if one.id == alarm), None)
    if report is None or found is None:
        _not_there()
    return HTMLResponse(draw_alarm(_cache(), config, report, found, _root(request)))


@app.get("/models/{model}/versions/{version}", response_class=HTMLResponse)
def version(request: Request, viewer: ViewerDep, model: Model, version: Version) -> HTMLResponse:
    """Return one version: verdict, rules, card, quality, lineage."""
    summary = _summary(viewer, model, version)
    return HTMLResponse(draw_version(_cache(), viewer, _readable(viewer, model), summary, _root(request)))


@app.get("/models/{model}/versions/{version}/card", response_class=HTMLResponse)
def card(viewer: ViewerDep, model: Model, version: Version) -> HTMLResponse:
    """Return the model card of a version, drawn from the evidence of the decision that stands and from what was taken back since."""
    summary = _summary(viewer, model, version)
    details = _cache().details(model := _readable(viewer, model), summary)
    if details.config is None or details.comparison is None or details.judgement is None:
        raise HTTPException(404, "There is no valid measurement of this version, so it has no card.")
    gone = describe_retractions(_cache().retracted(model, summary))
    drawn = draw_card(details.config, details.comparison, details.judgement, summary.standing.decision, gone)
    return HTMLResponse(drawn, headers=WITH_STYLES)


@app.get("/models/{model}/versions/{version}/distributions", response_class=HTMLResponse)
def distributions(request: Request, viewer: ViewerDep, model: Model, version: Version) -> HTMLResponse:
    """Return how a version's rows are distributed, beside those of the version before it."""
    summary = _summary(viewer, model, version)
    return HTMLResponse(draw_distributions(_cache(), _readable(viewer, model), summary, _root(request)))


@app.get("/models/{model}/compare", response_class=HTMLResponse)
def compare(
    request: Request, viewer: ViewerDep, model: Model, version: Annotated[list[str], Query(max_length=1000)]
) -> HTMLResponse:
    """Return two versions side by side, the older one first."""
    chosen = {summary.id: summary for summary in (_summary(viewer, model, one) for one in set(version))}
    if len(chosen) != 2:
        raise HTTPException(422, f"Choose two versions to compare; {len(chosen)} are chosen.")
    one, other = sorted(chosen.values(), key=lambda summary: summary.standing.order)
    return HTMLResponse(draw_comparison(_cache(), _readable(viewer, model), one, other, _root(request)))


@app.get("/static/{digest}/{name}")
def file(digest: Annotated[str, Path(pattern="^[0-9a-f]{16}$")], name: str) -> FileResponse:
    """Return a file of the page itself: those of a fixed list and no other."""
    if name not in FILES:
        raise HTTPException(404, "There is no such file.")
    path, kind = FILES[name]
    return FileResponse(path, media_type=kind, headers=FOR_GOOD)


@app.get("/{model}/evidence/{digest}/{picture}.svg")
def picture(
    viewer: ViewerDep, model: Model, digest: Digest, picture: Annotated[str, Path(pattern=f"^({'|'.join(FIGURES)})$")]
) -> Response:
    """Return a picture of evidence, which Airflow's approval form shows."""
    stored = _cache().stored(_readable(viewer, model))
    try:
        evidence = load_evidence(_cache().store, stored, digest)
    except ObjectMissing:
        _not_there()
    return Response(FIGURES[picture](evidence), media_type="image/svg+xml", headers=WITH_STYLES | FOR_GOOD)


@app.get("/{model}/{folder}/{digest}", response_class=HTMLResponse)
def page(
    viewer: ViewerDep,
    model: Model,
    folder: Annotated[str, Path(pattern="^(checks|cards|reproductions)$")],
    digest: Digest,
) -> HTMLResponse:
    """Return a page that a task wrote, a quality report or a model card, its bytes verified."""
    stored = _cache().stored(_readable(viewer, model))
    try:
        body = get_content(_cache().store, f"{stored}/{folder}", ".html", digest)
    except ObjectMissing:
        _not_there()
    return HTMLResponse(body, headers=WITH_STYLES | FOR_GOOD)


def _cache() -> PageCache:
    return page_cache(Settings.from_environment())


def _root(request: Request) -> str:
    """Return the path under which Airflow itself is reached."""
    return str(request.scope.get("root_path", "")).removesuffix("/ratchet")


def _readable(viewer: Viewer, model: str) -> str:
    """Return the name that a model has now, if the viewer may read its DAG."""
    if not viewer.may_read(shown := _cache().shown(model)):
        _not_there()
    return shown


def _declared(viewer: Viewer, model: str) -> ModelConfig:
    if (config := _cache().declared()[0].get(_readable(viewer, model))) is None:
        _not_there()
    return config


def _summary(viewer: Viewer, model: str, version: str) -> VersionSummary:
    history: History = _cache().read(_readable(viewer, model))[1]
    if len(found := history.named(version)) != 1:
        _not_there()
    return found[0]


def _not_there() -> NoReturn:
    raise HTTPException(404, _NOT_THERE)
