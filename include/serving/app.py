"""The server's routes."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import pyarrow as pa
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from include.errors import RatchetError, RequestError, nearest
from include.scoring.attributions import NotAttributable, attribute
from include.scoring.predictor import Predictions
from include.serving import metrics
from include.serving.access import Access
from include.serving.compiled_pipeline import SinglePrediction, joined
from include.serving.guard import Guard
from include.serving.live_versions import ALIAS, LiveModel, LiveModels, Served
from include.serving.platforms import Platform
from include.serving.protocol import bodies, openapi_document
from include.serving.protocol import open_inference as oip
from include.serving.protocol.row_schema import Row
from include.serving.request_log import Record, RequestLogger
from include.serving.settings import ServingSettings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

LIVE = "/v2/health/live"
_LARGE, _LARGE_ANSWER = 64 * 1024, 500
"""From how many bytes of a request, and rows of an answer, on the loop is not kept waiting."""
_SHADOWS = 256
"""How many requests may wait to be predicted beside; further ones are left out."""


@dataclass(frozen=True)
class Chosen:
    """The version that answers a request, and as what."""

    model: LiveModel
    served: Served
    role: str


class Server:
    """All that the routes share.

    Rows predicted by the pipeline go one request after the other through one thread, so that the loop stays free; a single row
    of a compiled version takes less time than handing it over would.
    """

    def __init__(self, live: LiveModels, logger: RequestLogger, settings: ServingSettings, platform: Platform) -> None:
        self.live = live
        self.logger = logger
        self.settings = settings
        self.platform = platform
        self._work = ThreadPoolExecutor(1, "ratchet-predict")
        self._beside = ThreadPoolExecutor(1, "ratchet-beside")
        self._shadows = 0

    def app(self, access: Access) -> Guard:
        """Return the application, with its guard around it."""
        routes = [
            Route(LIVE, self.alive),
            Route("/v2/health/ready", self.ready),
            Route("/v2", self.server),
            Route("/v2/models/{model}", self.metadata),
            Route("/v2/models/{model}/ready", self.model_ready),
            Route("/v2/models/{model}/infer", self.infer, methods=["POST"]),
            Route("/v2/models/{model}/versions/{version}", self.metadata),
            Route("/v2/models/{model}/versions/{version}/ready", self.model_ready),
            Route("/v2/models/{model}/versions/{version}/infer", self.infer, methods=["POST"]),
            Route("/models", self.models),
            Route("/models/{model}/predict", self.predict, methods=["POST"]),
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
            Route("/metrics", self.metrics),
            *(Route(path, self.ready) for path in self.platform.health),
            *(Route(path, self.invocations, methods=["POST"]) for path in self.platform.predict),
        ]
        # Without Starlette around it: the guard answers errors, and who forgot a slash is told so and not sent elsewhere.
        router = Router(routes, redirect_slashes=False, default=_no_route, lifespan=self._lifespan)
        anonymous = frozenset({LIVE, *self.platform.anonymous})
        local_only = not self.settings.asks_who and not self.platform.fronted
        return Guard(router, access, self.settings, anonymous, local_only=local_only)

    @asynccontextmanager
    async def _lifespan(self, app: object) -> AsyncIterator[None]:
        self.logger.start()
        self.live.start()
        yield
        await asyncio.to_thread(self.live.stop)
        await asyncio.to_thread(self._work.shutdown)
        await asyncio.to_thread(self._beside.shutdown)
        await asyncio.to_thread(self.logger.stop)

    # What a probe or a client asks first.

    async def alive(self, request: Request) -> Response:
        """Say that the process answers."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Say whether every model has a version that answers."""
        request.state.route = "ready"
        if not self.live.ready:
            raise RequestError("A model has no version that answers yet.", status=503, retry_after=1)
        return JSONResponse({"ready": True})

    async def server(self, request: Request) -> Response:
        """Say what the server is, in the protocol's words."""
        return JSONResponse({"name": "ratchet", "version": "2", "extensions": oip.EXTENSIONS})

    async def models(self, request: Request) -> Response:
        """List the models that the caller may ask."""
        seen = [self.live.models[name] for name in self._visible(request)]
        return JSONResponse(
            {
                "models": [
                    {
                        "name": model.name,
                        "description": model.declared.description,
                        "version": served.version if (served := model.champion) else None,
                        "as_of": served.as_of if served else None,
                    }
                    for model in seen
                ]
            }
        )

    async def metadata(self, request: Request) -> Response:
        """Describe a model's inputs and outputs, in the protocol's words."""
        model = self._model(request)
        served = self._version(model, request)
        return _headed(
            JSONResponse(
                oip.metadata(model.name, served.version, served.schema, bodies.answer_schema(served.predictor))
            ),
            served,
        )

    async def model_ready(self, request: Request) -> Response:
        """Say whether a model answers."""
        model = self._model(request)
        self._version(model, request)
        return JSONResponse({"name": model.name, "ready": True})

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document of the models that the caller may ask."""
        return JSONResponse(openapi_document.document(self.live.models[name] for name in self._visible(request)))

    async def docs(self, request: Request) -> Response:
        """Show it as a page."""
        return HTMLResponse(openapi_document.page(self.live.models[name] for name in self._visible(request)))

    async def metrics(self, request: Request) -> Response:
        """Return the server's numbers."""
        return Response(metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})

    # Predictions.

    async def predict(self, request: Request) -> Response:
        """Predict the rows of a JSON, CSV, Arrow or Parquet body."""
        return await self._predict(request, self._model(request))

    async def invocations(self, request: Request) -> Response:
        """Predict as a managed platform asks: of the one model, or of the one that the request names."""
        name = self.platform.model_of(request.headers, list(self.live.models))
        return await self._predict(request, self._model(request, name))

    async def _predict(self, request: Request, model: LiveModel) -> Response:
        request.state.route = "predict"
        kind = bodies.media_type(request.headers.get("content-type", ""))
        wanted = bodies.accepted(request.headers.get("accept", ""), kind)
        body = await request.body()
        explain = request.query_params.get("explain", "false").lower()
        if explain not in ("true", "false"):
            raise RequestError("`explain` is not understood.", status=422, expected="true or false")
        champion = self._champion(model)
        rows = await self._do(partial(self._read, body, kind, champion.served), large=len(body) > _LARGE)
        chosen, rows = self._choose(champion, rows)
        predictions, explanations = await self._answer(request, chosen, rows, explain=explain == "true")
        said = partial(self._said, request, chosen, predictions, explanations, wanted)
        content = await self._do(said, large=len(predictions.score) > _LARGE_ANSWER)
        return _headed(Response(content, media_type=wanted), chosen.served)

    def _read(self, body: bytes, kind: str, served: Served) -> pa.Table | list[Row]:
        settings = self.settings
        if kind == bodies.JSON:
            values = bodies.rows_in(bodies.read_json(body))
            self._require_some(len(values))
            return served.schema.rows(values)
        limits = {"max_rows": settings.max_rows, "max_bytes": settings.max_body_bytes}
        table = bodies.read_table(body, kind, served.schema, **limits)
        self._require_some(table.num_rows)
        return table

    def _said(
        self,
        request: Request,
        chosen: Chosen,
        predictions: Predictions,
        explanations: list[dict[str, Any]],
        wanted: str,
    ) -> bytes:
        if wanted != bodies.JSON:
            return bodies.write_table(bodies.answer_table(predictions), wanted)
        answers = bodies.answer_rows(predictions)
        if explanations:
            answers = [
                {**answer, "explanation": explanation}
                for answer, explanation in zip(answers, explanations, strict=True)
            ]
        facts = {"model": chosen.model.name, "version": chosen.served.version, "as_of": chosen.served.as_of}
        said = {**facts, "request_id": request.state.request_id, "predictions": answers}
        return bodies.dump(self.platform.answer(said))

    async def infer(self, request: Request) -> Response:
        """Predict tensors of the Open Inference Protocol."""
        model = self._model(request)
        request.state.route = "infer"
        served = self._version(model, request)
        length = request.headers.get("inference-header-content-length")
        body = await request.body()
        read = partial(oip.read_request, body, length, served.schema, max_rows=self.settings.max_rows)
        asked, rows = await self._do(read, large=len(body) > _LARGE)
        self._require_some(len(rows))
        chosen = Chosen(model, served, "champion" if served is model.champion else "challenger")
        if "version" not in request.path_params:
            chosen, rows = self._choose(chosen, rows)
        predictions, _ = await self._answer(request, chosen, rows)
        said = partial(oip.answer, asked, model.name, chosen.served.version, predictions, request.state.request_id)
        content, json_bytes = await self._do(said, large=len(predictions.score) > _LARGE_ANSWER)
        response = Response(content, media_type=bodies.JSON if json_bytes is None else "application/octet-stream")
        if json_bytes is not None:
            response.headers["inference-header-content-length"] = str(json_bytes)
        return _headed(response, chosen.served)

    async def _answer(
        self, request: Request, chosen: Chosen, rows: pa.Table | list[Row], *, explain: bool = False
    ) -> tuple[Predictions, list[dict[str, Any]]]:
        """Return predictions, and explanations if they are wanted; what else becomes of the request happens later."""
        served = chosen.served
        if isinstance(rows, list) and len(rows) == 1 and not explain and (alone := _alone(served, rows[0])) is not None:
            predictions = joined(served.predictor.fit, [alone])
            self._after(request, chosen, rows[0], alone, predictions)
            return predictions, []
        table = served.schema.table(rows) if isinstance(rows, list) else rows
        predictions, explanations = await self._in_thread(partial(_by_pipeline, served, table, explain=explain))
        self._after(request, chosen, table, predictions, predictions)
        return predictions, explanations

    def _after(
        self,
        request: Request,
        chosen: Chosen,
        rows: pa.Table | Row,
        predicted: Predictions | SinglePrediction,
        predictions: Predictions,
    ) -> None:
        """Count the request, keep it, and have it predicted beside."""
        model = chosen.model
        path = "pipeline" if isinstance(rows, pa.Table) else "single"
        metrics.ROWS.labels(model.name, chosen.served.version, path).inc(len(predictions.score))
        if outside := int(predictions.out_of_domain.sum()):
            metrics.OUT_OF_DOMAIN.labels(model.name).inc(outside)
        if not self.logger.keeps(model.name):
            return
        at, request_id = datetime.now(UTC), request.state.request_id
        self.logger.add(_record(model, chosen.served, chosen.role, rows, predicted, request_id, at))
        challenger, beside = model.declared.serving.challenger, model.beside
        if challenger is None or challenger.traffic or beside is None or self._shadows >= _SHADOWS:
            return
        self._shadows += 1
        future = self._beside.submit(self._shadow, model, chosen.served, beside, rows, request_id, at)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._shadow_done))

    def _shadow_done(self) -> None:
        self._shadows -= 1

    def _shadow(
        self, model: LiveModel, answered: Served, beside: Served, rows: pa.Table | Row, request_id: str, at: datetime
    ) -> None:
        try:
            table = _as_asked(rows if isinstance(rows, pa.Table) else [rows], answered, beside)
            predictions = beside.predictor.predict(beside.predictor.inputs(table))
            self.logger.add(_record(model, beside, "shadow", table, predictions, request_id, at))
        except Exception as error:  # noqa: BLE001 - the caller was answered; only the number of them matters
            log.warning("%s: %s can't predict a request beside: %s", model.name, beside.version, type(error).__name__)

    # Which model, which version.

    def _visible(self, request: Request) -> list[str]:
        return [name for name in self.live.models if request.state.caller.may(name)]

    def _model(self, request: Request, name: str | None = None) -> LiveModel:
        wanted = request.path_params["model"] if name is None else name
        visible = self._visible(request)
        if wanted not in visible:
            close = nearest(wanted[:64], visible)
            raise RequestError(
                "There is no such model.",
                status=404,
                expected=", ".join(visible) or "a model that this caller may ask",
                remedy=f"did you mean `{close}`?" if close else None,
            )
        request.state.model = wanted
        return self.live.models[wanted]

    def _champion(self, model: LiveModel) -> Chosen:
        served = model.champion
        if served is None:
            raise RequestError(
                f"{model.name} does not answer: {(model.problem or 'it is being loaded').partition(':')[0]}.",
                status=503,
                retry_after=2,
            )
        return Chosen(model, served, "champion")

    def _version(self, model: LiveModel, request: Request) -> Served:
        """Return the version that a path names, or the champion."""
        champion = self._champion(model).served
        wanted = request.path_params.get("version")
        if wanted is None or wanted == champion.version:
            return champion
        beside, challenger = model.beside, model.declared.serving.challenger
        named = None if challenger is None else f"{ALIAS}{wanted}" == challenger.version
        if beside is not None and (named or wanted == beside.version):
            return beside
        known = [champion.version, *([beside.version] if beside else [])]
        raise RequestError("That version is not in memory.", status=404, expected=" or ".join(known))

    def _choose(self, champion: Chosen, rows: pa.Table | list[Row]) -> tuple[Chosen, pa.Table | list[Row]]:
        """Give a request to the challenger if it is of one entity, and that is among those that the challenger answers."""
        model = champion.model
        challenger, beside = model.declared.serving.challenger, model.beside
        if challenger is None or not challenger.traffic or beside is None:
            return champion, rows
        if isinstance(rows, pa.Table):
            entities = set(rows[challenger.by].to_pylist()) if challenger.by in rows.column_names else set()
        else:
            entities = {row.get(str(challenger.by)) for row in rows}
        if len(entities) != 1 or None in entities:
            return champion, rows
        if share_of(model.name, entities.pop()) >= challenger.traffic:
            return champion, rows
        if beside.schema != champion.served.schema:
            rows = _as_asked(rows, champion.served, beside)
        return Chosen(model, beside, "challenger"), rows

    def _require_some(self, rows: int) -> None:
        if rows > self.settings.max_rows:
            raise bodies.too_many(rows, self.settings.max_rows)
        if not rows:
            raise RequestError("The request has no rows.", expected="at least one row")

    async def _do(self, work: Callable[[], Any], *, large: bool) -> Any:
        """Do what takes microseconds at once, and what takes longer off the loop."""
        return await self._in_thread(work) if large else work()

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        future = asyncio.get_running_loop().run_in_executor(self._work, work)
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                return await future
        except TimeoutError:
            raise RequestError("The prediction takes too long.", status=503, retry_after=5) from None


def share_of(model: str, entity: object) -> float:
    """Return where an entity stands between 0 and 1, the same everywhere and at all times."""
    hashed = hashlib.sha256(f"{model}\x00{entity}".encode()).digest()
    return int.from_bytes(hashed[:8]) / 2**64


def _by_pipeline(served: Served, rows: pa.Table, *, explain: bool) -> tuple[Predictions, list[dict[str, Any]]]:
    predictor = served.predictor
    try:
        frame = predictor.inputs(rows)
        predictions = predictor.predict(frame)
        explained = attribute(predictor, frame) if explain else None
    except NotAttributable as error:
        raise RequestError(error.message, expected=error.expected, found=error.found) from error
    except RatchetError as error:
        raise _unpredictable() from error
    except Exception as error:
        # The team's `derive` may raise anything, and what it says may hold values.
        log.warning("%s: rows could not be predicted: %s", served.predictor.model.name, type(error).__name__)
        raise _unpredictable() from error
    if explained is None:
        return predictions, []
    return predictions, [explained.row(number) for number in range(len(frame))]


def _alone(served: Served, row: Row) -> SinglePrediction | None:
    """Predict one row by the compiled form; None where there is none, or the row is not for it."""
    if served.single is None:
        return None
    try:
        alone = served.single(row)
    except Exception:  # noqa: BLE001 - the team's function for one row may meet one that it was not held to
        return None
    return alone if np.isfinite(alone.score).all() else None


def _as_asked(rows: pa.Table | list[Row], answered: Served, beside: Served) -> pa.Table:
    """Return rows that one version asked for as another asks for them; raises `RequestError` if it asks for more."""
    table = rows if isinstance(rows, pa.Table) else answered.schema.table(rows)
    known = [column.name for column in beside.schema.columns if column.name in table.column_names]
    return beside.schema.conform(table.select(known))


def _unpredictable() -> RequestError:
    return RequestError(
        "The model can't predict these rows.",
        expected="values for which its `derive` and its pipeline give numbers",
        remedy="look for missing or extreme values",
    )


def _record(
    model: LiveModel,
    served: Served,
    role: str,
    rows: pa.Table | Row,
    predicted: Predictions | SinglePrediction,
    request_id: str,
    at: datetime,
) -> Record:
    return Record(
        model.name, request_id, at, role, served.version, served.schema, served.predictor.fit, rows, predicted
    )


def _headed(response: Response, served: Served) -> Response:
    response.headers["x-ratchet-version"] = served.version
    response.headers["x-ratchet-as-of"] = served.as_of
    return response


async def _no_route(scope: Scope, receive: Receive, send: Send) -> NoReturn:
    raise RequestError("There is no such route.", status=404, expected="one that /openapi.json lists")
