"""The server's routes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route, Router

from include.errors import RequestError
from include.serving import metrics
from include.serving.access import Access
from include.serving.answers import Answer, Part, rows_of, schema_of_answers, size_of, table_of, versions_of
from include.serving.guard import Guard
from include.serving.live.served import Served
from include.serving.live_versions import LiveModel, LiveModels
from include.serving.platforms import Platform
from include.serving.prediction_service import PredictionService
from include.serving.protocol import bodies, openapi_document
from include.serving.protocol import open_inference as oip
from include.serving.protocol.parquet_body import too_many
from include.serving.protocol.row_schema import Row
from include.serving.request_log import RequestLogger
from include.serving.requested_models import champion_of, requested_model, requested_version, visible
from include.serving.settings import ServingSettings

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

log = logging.getLogger(__name__)

LIVE = "/v2/health/live"
_LARGE, _LARGE_ANSWER = 64 * 1024, 500
"""From how many bytes of a request, and rows of an answer, on the loop is not kept waiting."""


class Server:
    """All that the routes share."""

    def __init__(self, live: LiveModels, logger: RequestLogger, settings: ServingSettings, platform: Platform) -> None:
        self.live = live
        self.logger = logger
        self.settings = settings
        self.platform = platform
        self.predictions = PredictionService(logger, settings.timeout_seconds)

    def app(self, access: Access) -> Guard:
        """Return the application, with its guard around it."""
        routes = [
            # Routes are tried one after the other: the most frequent ones first.
            Route("/models/{model}/predict", self.predict, methods=["POST"]),
            Route("/v2/models/{model}/infer", self.infer, methods=["POST"]),
            *(Route(path, self.invocations, methods=["POST"]) for path in self.platform.predict),
            Route(LIVE, self.alive),
            Route("/v2/health/ready", self.ready),
            Route("/v2", self.server),
            Route("/v2/models/{model}", self.metadata),
            Route("/v2/models/{model}/ready", self.model_ready),
            Route("/v2/models/{model}/versions/{version}", self.metadata),
            Route("/v2/models/{model}/versions/{version}/ready", self.model_ready),
            Route("/v2/models/{model}/versions/{version}/infer", self.infer, methods=["POST"]),
            Route("/models", self.models),
            Route("/openapi.json", self.openapi),
            Route("/docs", self.docs),
            Route("/metrics", self.metrics),
            *(Route(path, self.ready) for path in self.platform.health),
        ]
        # Without Starlette's middleware: the guard answers errors, and a missing slash is an error, not a redirect.
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
        await self.predictions.stop()
        await asyncio.to_thread(self.logger.stop)

    # What a probe or a client asks first.

    async def alive(self, request: Request) -> Response:
        """Tell that the process is alive."""
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        """Tell whether the server can be sent requests."""
        request.state.route = "ready"
        if not self.live.ready:
            raise RequestError("No model answers yet, or one is still being loaded.", status=503, retry_after=1)
        return JSONResponse({"ready": True})

    async def server(self, request: Request) -> Response:
        """Return the server's metadata, as the protocol defines it."""
        return JSONResponse({"name": "ratchet", "version": "2", "extensions": oip.EXTENSIONS})

    async def models(self, request: Request) -> Response:
        """List the models that the caller may ask."""
        seen = [self.live.models[name] for name in visible(self.live, request)]
        return JSONResponse(
            {
                "models": [
                    {
                        "name": model.name,
                        "description": model.declared.description,
                        "version": served.version if (served := model.champion) else None,
                        "as_of": served.as_of if served else None,
                    }
                    | _segments(model)
                    for model in seen
                ]
            }
        )

    async def metadata(self, request: Request) -> Response:
        """Describe a model's inputs and outputs, in the protocol's words."""
        model = requested_model(self.live, request)
        served = requested_version(model, request).served
        return _headed(
            JSONResponse(oip.metadata(model.name, served.version, served.schema, schema_of_answers(model, served))),
            {served.version: served.as_of},
        )

    async def model_ready(self, request: Request) -> Response:
        """Tell whether a model is ready."""
        model = requested_model(self.live, request)
        requested_version(model, request)
        return JSONResponse({"name": model.name, "ready": True})

    async def openapi(self, request: Request) -> Response:
        """Return the OpenAPI document of the models that the caller may ask."""
        return JSONResponse(openapi_document.document(self.live.models[name] for name in visible(self.live, request)))

    async def docs(self, request: Request) -> Response:
        """Show it as a page."""
        return HTMLResponse(openapi_document.page(self.live.models[name] for name in visible(self.live, request)))

    async def metrics(self, request: Request) -> Response:
        """Return the server's numbers."""
        return Response(metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})

    # Predictions.

    async def predict(self, request: Request) -> Response:
        """Predict the rows of a JSON, CSV, Arrow or Parquet body."""
        return await self._predict(request, requested_model(self.live, request))

    async def invocations(self, request: Request) -> Response:
        """Predict for a managed platform, with the only model or with the model that the request names."""
        name = self.platform.model_of(request.headers, list(self.live.models))
        return await self._predict(request, requested_model(self.live, request, name))

    async def _predict(self, request: Request, model: LiveModel) -> Response:
        request.state.route = "predict"
        kind = bodies.media_type(request.headers.get("content-type", ""))
        wanted = bodies.accepted(request.headers.get("accept", ""), kind)
        body = await request.body()
        explain = request.query_params.get("explain", "false").lower()
        if explain not in ("true", "false"):
            raise RequestError("`explain` is not understood.", status=422, expected="true or false")
        champion = champion_of(model)
        rows = await self.predictions.do(partial(self._read, body, kind, champion.served), large=len(body) > _LARGE)
        parts = await self.predictions.divide(champion, rows)
        answers = await self.predictions.answer(request.state.request_id, parts, explain=explain == "true")
        said = partial(self._said, request, model, answers, wanted)
        content = await self.predictions.do(said, large=size_of(answers) > _LARGE_ANSWER)
        return _headed(Response(content, media_type=wanted), versions_of(answers))

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

    def _said(self, request: Request, model: LiveModel, answers: list[Answer], wanted: str) -> bytes:
        if wanted != bodies.JSON:
            return bodies.write_table(table_of(answers), wanted)
        version, as_of = next(iter(versions.items())) if len(versions := versions_of(answers)) == 1 else (None, None)
        facts = {"model": model.name, "version": version, "as_of": as_of, "request_id": request.state.request_id}
        return bodies.dump(self.platform.answer({**facts, "predictions": rows_of(answers)}))

    async def infer(self, request: Request) -> Response:
        """Predict tensors of the Open Inference Protocol."""
        model = requested_model(self.live, request)
        request.state.route = "infer"
        chosen = requested_version(model, request)  # it answers to the end, as what it is now
        served = chosen.served
        length = request.headers.get("inference-header-content-length")
        body = await request.body()
        read = partial(oip.read_request, body, length, served.schema, max_rows=self.settings.max_rows)
        asked, rows = await self.predictions.do(read, large=len(body) > _LARGE)
        self._require_some(len(rows))
        by_segment = "version" not in request.path_params
        parts = await self.predictions.divide(chosen, rows) if by_segment else [Part(chosen, rows)]
        answers = await self.predictions.answer(request.state.request_id, parts)
        versions = versions_of(answers)
        said = partial(self._tensors, asked, model, answers, request.state.request_id)
        content, json_bytes = await self.predictions.do(said, large=size_of(answers) > _LARGE_ANSWER)
        response = Response(content, media_type=bodies.JSON if json_bytes is None else "application/octet-stream")
        if json_bytes is not None:
            response.headers["inference-header-content-length"] = str(json_bytes)
        return _headed(response, versions)

    def _tensors(
        self, asked: dict[str, Any], model: LiveModel, answers: list[Answer], request_id: str
    ) -> tuple[bytes, int | None]:
        return oip.answer(asked, model.name, versions_of(answers), table_of(answers), request_id)

    def _require_some(self, rows: int) -> None:
        if rows > self.settings.max_rows:
            raise too_many(rows, self.settings.max_rows)
        if not rows:
            raise RequestError("The request has no rows.", expected="at least one row")


def _segments(model: LiveModel) -> dict[str, Any]:
    if not model.segments.declared:
        return {}
    return {"segments": {one.segment: {"version": one.version, "as_of": one.as_of} for one in model.segments.in_force}}


def _headed(response: Response, versions: dict[str, str]) -> Response:
    response.headers["x-ratchet-version"] = ", ".join(versions)
    response.headers["x-ratchet-as-of"] = ", ".join(versions.values())
    return response


async def _no_route(scope: Scope, receive: Receive, send: Send) -> NoReturn:
    raise RequestError("There is no such route.", status=404, expected="one that /openapi.json lists")
