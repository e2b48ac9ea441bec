"""Predict the rows of requests: by the champion or a challenger, off the event loop where it takes long, and beside it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from include.errors import RatchetError, RequestError
from include.scoring.attributions import NotAttributable, attribute
from include.scoring.predictor import Predictions
from include.serving import metrics
from include.serving.compiled.single_row import SinglePrediction, joined
from include.serving.live_versions import LiveModel, Served
from include.serving.protocol.row_schema import Row
from include.serving.request_log import Record, RequestLogger

log = logging.getLogger(__name__)

_SHADOWS = 256
"""How many requests may wait to be predicted beside; further ones are left out."""


@dataclass(frozen=True)
class Chosen:
    """The version that answers a request, and as what."""

    model: LiveModel
    served: Served
    role: str


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
        self._shadows = 0

    async def stop(self) -> None:
        """Finish what is begun."""
        await asyncio.to_thread(self._work.shutdown)
        await asyncio.to_thread(self._beside.shutdown)

    def choose(self, champion: Chosen, rows: pa.Table | list[Row]) -> tuple[Chosen, pa.Table | list[Row]]:
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
        if share_of(model.declared.name, entities.pop()) >= challenger.traffic:
            return champion, rows
        if beside.schema != champion.served.schema:
            rows = _as_asked(rows, champion.served, beside)
        return Chosen(model, beside, "challenger"), rows

    async def answer(
        self, request_id: str, chosen: Chosen, rows: pa.Table | list[Row], *, explain: bool = False
    ) -> tuple[Predictions, list[dict[str, Any]]]:
        """Return predictions, and explanations if they are wanted; what else becomes of the request happens later."""
        served = chosen.served
        if isinstance(rows, list) and len(rows) == 1 and not explain and (alone := _alone(served, rows[0])) is not None:
            predictions = joined(served.predictor.fit, [alone])
            self._after(request_id, chosen, rows[0], alone, predictions)
            return predictions, []
        table = served.schema.table(rows) if isinstance(rows, list) else rows
        predictions, explanations = await self._in_thread(partial(_by_pipeline, served, table, explain=explain))
        self._after(request_id, chosen, table, predictions, predictions)
        return predictions, explanations

    def _after(
        self,
        request_id: str,
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
        if not self._logger.keeps(model.declared.name):
            return
        at = datetime.now(UTC)
        self._logger.add(_record(model, chosen.served, chosen.role, rows, predicted, request_id, at))
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
            self._logger.add(_record(model, beside, "shadow", table, predictions, request_id, at))
        except Exception as error:  # noqa: BLE001 - the caller was answered; only the number of them matters
            log.warning("%s: %s can't predict a request beside: %s", model.name, beside.version, type(error).__name__)

    async def do(self, work: Callable[[], Any], *, large: bool) -> Any:
        """Do what takes microseconds at once, and what takes longer off the loop."""
        return await self._in_thread(work) if large else work()

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        future = asyncio.get_running_loop().run_in_executor(self._work, work)
        try:
            async with asyncio.timeout(self._timeout):
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
        model.declared.name, request_id, at, role, served.version, served.schema, served.predictor.fit, rows, predicted
    )
