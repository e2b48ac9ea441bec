"""Predict the rows of requests with the champion or a challenger; long predictions leave the event loop."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from include.config.sections.rows.segments import segment_of
from include.errors import RatchetError, RequestError
from include.scoring.attributions import NotAttributable, attribute
from include.scoring.predictor import Predictions
from include.serving import metrics
from include.serving.answers import Answer, Chosen, Part
from include.serving.compiled.single_row import SinglePrediction, joined
from include.serving.live.served import Served
from include.serving.protocol.row_schema import Row
from include.serving.request_log import Record, RequestLogger

log = logging.getLogger(__name__)

_SHADOWS = 256
"""The number of requests that may wait for the second prediction; further ones are skipped."""


class PredictionService:
    """Predictions for requests, and what else becomes of a request afterwards.

    Rows predicted by the pipeline go one request after the other through one thread, so that the loop stays free; a single row
    of a compiled version takes less time than handing it over would.

    Parameters
    ----------
    logger : RequestLogger
        Keeps requests with their predictions.
    timeout : float
        Seconds that work off the event loop may take.
    """

    def __init__(self, logger: RequestLogger, timeout: float) -> None:
        self._logger = logger
        self._timeout = timeout
        self._work = ThreadPoolExecutor(1, "ratchet-predict")
        self._beside = ThreadPoolExecutor(1, "ratchet-beside")
        self._loading = ThreadPoolExecutor(1, "ratchet-load")
        self._shadows = 0

    async def stop(self) -> None:
        """Finish what is begun."""
        for threads in (self._work, self._beside, self._loading):
            await asyncio.to_thread(threads.shutdown)

    async def divide(self, champion: Chosen, rows: pa.Table | list[Row]) -> list[Part]:
        """Return who answers which rows: the version of a row's segment, otherwise that of all rows or the challenger.

        A version that is not in memory yet is loaded first.
        """
        segments = champion.model.segments
        found = segments.segments_of(rows)
        if found is None:
            return [Part(*self.choose(champion, rows))]
        places: dict[str | None, list[int]] = {}
        for place, segment in enumerate(found):
            places.setdefault(segment, []).append(place)
        parts = []
        for segment, where in places.items():
            own = rows if len(places) == 1 else _taken(rows, where)
            if segment is None:
                parts.append(Part(*self.choose(champion, own), where))
                continue
            served = segments.get(segment) or await self._in(self._loading, partial(segments.open, segment))
            if not _reads_alike(served, champion.served):
                own = _as_asked(own, champion.served, served)
            parts.append(Part(Chosen(champion.model, served, "champion"), own, where))
        return parts

    def choose(self, champion: Chosen, rows: pa.Table | list[Row]) -> tuple[Chosen, pa.Table | list[Row]]:
        """Give a request to the challenger if it is of one entity, of those that it answers, and has all columns that it needs."""
        challenger, beside = champion.model.declared.serving.challenger, champion.model.beside
        if challenger is None or not challenger.traffic or beside is None:
            return champion, rows
        if isinstance(rows, pa.Table):
            entities = set(rows[challenger.by].to_pylist()) if challenger.by in rows.column_names else set()
        else:
            entities = {row.get(str(challenger.by)) for row in rows}
        if len(entities) != 1 or None in entities:
            return champion, rows
        if share_of(champion.model.declared.name, entities.pop()) >= challenger.traffic:
            return champion, rows
        if beside.schema != champion.served.schema:
            try:
                rows = _as_asked(rows, champion.served, beside)
            except RequestError:  # it reads what callers send only once it is the champion
                return champion, rows
        return Chosen(champion.model, beside, "challenger"), rows

    async def answer(self, request_id: str, parts: list[Part], *, explain: bool = False) -> list[Answer]:
        """Return the answer of each part, with explanations if they are wanted; what else becomes of the request happens later."""
        if len(parts) == 1 and not explain and isinstance(rows := parts[0].rows, list) and len(rows) == 1:
            served = parts[0].chosen.served
            if (alone := _alone(served, rows[0])) is not None:
                predictions = joined(served.predictor.fit, [alone])
                self._after(request_id, parts[0], rows[0], alone, predictions)
                return [Answer(parts[0], predictions, [])]
        tables = [one.chosen.served.schema.table(one.rows) if isinstance(one.rows, list) else one.rows for one in parts]
        answers = await self._in(self._work, partial(_all_by_pipeline, parts, tables, explain=explain))
        for one, table in zip(answers, tables, strict=True):
            self._after(request_id, one.part, table, one.predictions, one.predictions)
        return list(answers)

    def _after(
        self,
        request_id: str,
        part: Part,
        rows: pa.Table | Row,
        predicted: Predictions | SinglePrediction,
        predictions: Predictions,
    ) -> None:
        """Count the request, log it, and predict it with the second version."""
        chosen, model = part.chosen, part.chosen.model
        path = "pipeline" if isinstance(rows, pa.Table) else "single"
        metrics.ROWS.labels(model.name, chosen.served.version, path).inc(len(predictions.score))
        if outside := int(predictions.out_of_domain.sum()):
            metrics.OUT_OF_DOMAIN.labels(model.name).inc(outside)
        if not self._logger.keeps(model.declared.name):
            return
        at = datetime.now(UTC)
        self._logger.add(_record(chosen, rows, predicted, request_id, at, part.places))
        challenger, beside = model.declared.serving.challenger, model.beside
        if challenger is None or challenger.traffic or beside is None or self._shadows >= _SHADOWS:
            return
        if segment_of(chosen.served.predictor.version.model) is not None:
            return  # a second version is one of all rows: it would not have answered these
        self._shadows += 1
        future = self._beside.submit(self._shadow, part, beside, rows, request_id, at)
        loop = asyncio.get_running_loop()
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._shadow_done))

    def _shadow_done(self) -> None:
        self._shadows -= 1

    def _shadow(self, part: Part, beside: Served, rows: pa.Table | Row, request_id: str, at: datetime) -> None:
        model = part.chosen.model
        try:
            table = _as_asked(rows if isinstance(rows, pa.Table) else [rows], part.chosen.served, beside)
            predictions = beside.predictor.predict(beside.predictor.inputs(table))
            shadow = Chosen(model, beside, "shadow")
            self._logger.add(_record(shadow, table, predictions, request_id, at, part.places))
        except Exception as error:  # noqa: BLE001 - the caller was answered; only the number of them matters
            log.warning("%s: %s can't also predict a request: %s", model.name, beside.version, type(error).__name__)

    async def do(self, work: Callable[[], Any], *, large: bool) -> Any:
        """Do what takes microseconds at once, and what takes longer off the loop."""
        return await self._in(self._work, work) if large else work()

    async def _in(self, thread: ThreadPoolExecutor, work: Callable[[], Any]) -> Any:
        future = asyncio.get_running_loop().run_in_executor(thread, work)
        try:
            async with asyncio.timeout(self._timeout):
                return await future
        except TimeoutError:
            raise RequestError("The prediction takes too long.", status=503, retry_after=5) from None


def share_of(model: str, entity: object) -> float:
    """Return the place of an entity between 0 and 1, which is the same on every server and at any time."""
    hashed = hashlib.sha256(f"{model}\x00{entity}".encode()).digest()
    return int.from_bytes(hashed[:8]) / 2**64


def _taken(rows: pa.Table | list[Row], places: list[int]) -> pa.Table | list[Row]:
    return [rows[place] for place in places] if isinstance(rows, list) else rows.take(pa.array(places))


def _reads_alike(one: Served, other: Served) -> bool:
    """Tell whether rows of one version's schema are rows of another's."""
    return one.schema.arrow == other.schema.arrow and one.schema.rectify == other.schema.rectify


def _all_by_pipeline(parts: list[Part], tables: list[pa.Table], *, explain: bool) -> list[Answer]:
    return [
        Answer(part, *_by_pipeline(part.chosen.served, table, explain=explain))
        for part, table in zip(parts, tables, strict=True)
    ]


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
        # The team's `derive` may raise any error, and the message may contain values.
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
    except Exception:  # noqa: BLE001 - the team's function for one row may fail on a row that it was not verified on
        return None
    return alone if np.isfinite(alone.score).all() else None


def _as_asked(rows: pa.Table | list[Row], answered: Served, beside: Served) -> pa.Table:
    """Return rows in the schema of one version converted to that of another; raises `RequestError` if it needs more columns."""
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
    chosen: Chosen,
    rows: pa.Table | Row,
    predicted: Predictions | SinglePrediction,
    request_id: str,
    at: datetime,
    places: list[int] | None,
) -> Record:
    served = chosen.served
    facts = (request_id, at, chosen.role, served.version, served.schema, served.predictor.fit)
    return Record(chosen.model.declared.name, *facts, rows, predicted, places)
