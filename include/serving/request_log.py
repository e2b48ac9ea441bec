"""Requests and answers, kept in the store: batches of rows as Parquet files, named by their content.

`include.data.request_files` describes the keys of the files and their columns.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from include.config.sections.serving import LOGGED, RequestLog
from include.data.request_files import AT, PLACE, REQUEST, ROLE, request_key
from include.errors import ConfigError, StoreError, StoreUnavailable
from include.scoring.predictor import Predictions
from include.scoring.scores import VERSION
from include.serving import metrics
from include.serving.compiled.single_row import SinglePrediction, joined
from include.serving.protocol.bodies import answer_table
from include.serving.protocol.row_schema import RequestSchema, Row
from include.serving.settings import ServingSettings
from include.storage.content import digest
from include.storage.store import ObjectStore
from include.training.fit_record import FitRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One logged request: its rows and their predictions."""

    model: str
    request_id: str
    at: datetime
    role: str
    """``champion`` or ``challenger``, which answered; ``shadow``, of which the caller was told nothing."""
    version: str
    schema: RequestSchema
    fit: FitRecord
    rows: pa.Table | Row
    """A table, or a row that was predicted alone."""
    predictions: Predictions | SinglePrediction
    places: list[int] | None = None
    """The positions of the rows in the request, if another version answered the other rows."""

    @property
    def size(self) -> int:
        """How many rows it has."""
        return self.rows.num_rows if isinstance(self.rows, pa.Table) else 1


class RequestLogger:
    """Sends requests to the store in batches, from a thread of its own.

    At most ``settings.max_unsent`` rows are in memory and not in the store: as many a kill loses. While the store is away and
    that many wait, further rows are not kept, and counted.

    Parameters
    ----------
    declared : dict of str to RequestLog
        What is kept, by model; of a model without an entry nothing is.

    Raises
    ------
    ConfigError
        When columns are to be hashed and there is no key.
    """

    def __init__(
        self,
        store: ObjectStore,
        declared: dict[str, RequestLog],
        settings: ServingSettings,
    ) -> None:
        self.store = store
        self.declared = declared
        self.settings = settings
        if any(one.hash for one in declared.values()) and not settings.hash_key:
            raise ConfigError(
                "Columns of the request log must be hashed, and there is no key.",
                expected="a secret: without one, a value can be guessed from its hash",
                where="environment variable RATCHET_SERVING_HASH_KEY",
            )
        self._unsent: list[Record] = []
        self._begun: list[list[Record]] = []  # of a file each; only `flush` has to do with them
        self._rows = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ratchet-request-log", daemon=True)

    def start(self) -> None:
        """Start to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, and end."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def keeps(self, model: str) -> bool:
        """Tell whether requests of a model are kept."""
        return model in self.declared

    def add(self, record: Record) -> None:
        """Keep a request; returns at once."""
        with self._lock:
            if self._rows + record.size > self.settings.max_unsent:
                metrics.DROPPED.labels(record.model).inc(record.size)
                return
            self._unsent.append(record)
            self._rows += record.size
            metrics.UNSENT.set(self._rows)
            if self._rows >= self.settings.max_unsent // 4:
                self._wake.set()

    def flush(self) -> None:
        """Send all that waits.

        Raises
        ------
        StoreError
            When the store does not take it; what was not taken waits on.
        """
        # A file may be in the store though its write was not answered: its rows are sent again as the very same file.
        self._send()
        with self._lock:
            batch, self._unsent = self._unsent, []
        # A version has columns of its own, so each has files of its own.
        groups: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        for record in batch:
            groups[record.model, f"{record.at:%Y%m%dT%H0000Z}", record.version].append(record)
        self._begun.extend(groups.values())
        self._send()

    def _send(self) -> None:
        while self._begun:
            records = self._begun[0]
            table = pa.concat_tables(self._tables(records))
            model, first = records[0].model, min(one.at for one in records)
            sink = pa.BufferOutputStream()
            pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
            body = sink.getvalue().to_pybytes()
            self.store.put_if_absent(request_key(model, first, digest(body)), body)
            del self._begun[0]
            with self._lock:
                self._rows -= table.num_rows
                metrics.UNSENT.set(self._rows)
            metrics.LOGGED.labels(model).inc(table.num_rows)

    def _tables(self, records: list[Record]) -> list[pa.Table]:
        alone: dict[tuple[str, str], list[Record]] = defaultdict(list)
        tables = []
        for record in records:
            if isinstance(record.predictions, Predictions):
                tables.append(self._table([record], record.rows, record.predictions))
            else:
                alone[record.version, record.role].append(record)
        for group in alone.values():
            rows = group[0].schema.table([one.rows for one in group])
            singles = [one.predictions for one in group if isinstance(one.predictions, SinglePrediction)]
            tables.append(self._table(group, rows, joined(group[0].fit, singles)))
        return tables

    def _table(self, records: list[Record], rows: pa.Table, predictions: Predictions) -> pa.Table:
        """Return the rows of one request, or of several of one row each, as they are kept."""
        first, count = records[0], rows.num_rows
        declared = self.declared[first.model]
        each = records if len(records) == count else [first] * count
        places = (first.places or range(count)) if len(records) == 1 else [0] * count
        columns: dict[str, Any] = {
            REQUEST: pa.array([one.request_id for one in each], pa.string()),
            PLACE: pa.array(places, pa.int64()),
            AT: pa.array([one.at for one in each], pa.timestamp("us", "UTC")),
            ROLE: pa.array([first.role] * count, pa.string()),
        }
        for name in rows.column_names:
            if name not in declared.leave_out and name not in LOGGED:
                columns[name] = self._hashed(rows[name]) if name in declared.hash else rows[name]
        answers = answer_table(predictions)
        columns |= dict(zip(answers.column_names, answers.columns, strict=True))
        columns[VERSION] = pa.array([first.version] * count, pa.string())
        return pa.table(columns)

    def _hashed(self, column: Any) -> pa.Array:
        key = (self.settings.hash_key or "").encode()
        return pa.array(
            [
                None if value is None else hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()
                for value in column.to_pylist()
            ],
            pa.string(),
        )

    def _run(self) -> None:
        while True:
            self._wake.wait(self.settings.flush_seconds)
            self._wake.clear()
            last = self._stop.is_set()
            try:
                self.flush()
            except StoreUnavailable:
                log.warning("The store does not answer: %d rows of the request log wait", self._rows)
                self._stop.wait(min(self.settings.flush_seconds, 1.0))
            except StoreError as error:
                log.error("The request log is refused by the store: %s", error.message)
                self._stop.wait(self.settings.flush_seconds)
            except Exception as error:  # noqa: BLE001 - a thread that ends would keep nothing any more
                log.error("The request log can't be written: %s", type(error).__name__)
                self._stop.wait(self.settings.flush_seconds)
            if last:
                return
