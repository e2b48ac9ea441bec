"""Scores in a table of a database: each interval is there whole, as one publication has it, or not at all.

A second table, ``<table>_delivered``, has one row for each interval that is in the first: its version, its publication's number
and digest. Both change in one transaction that begins by locking that row. So a killed delivery leaves nothing, a repeated one
finds its own digest, and of two concurrent deliveries the newer publication remains, in any order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from include.data.windows import Window
from include.errors import ConfigError, DataError, StoreUnavailable
from include.scoring.delivered_columns import AFTER, MODEL, UNTIL, column_name, require_free, sql_type
from include.scoring.publication import Manifest

log = logging.getLogger(__name__)

_BATCH = 10_000
_TRIES = 3


class DeliveredTable:
    """The scores of one model in a table.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        Of the database; it must have transactions.
    table : str
        Name of the table, with or without its schema.
    model : str
        Whose scores; those of other models in the table are left alone.
    keys : sequence of str
        The columns of the scores that name a row.
    """

    def __init__(self, engine: sa.Engine, table: str, model: str, keys: list[str]) -> None:
        self._engine, self._model = engine, model
        self._longest = engine.dialect.max_identifier_length
        self._keys = [column_name(name, self._longest) for name in keys]
        self._schema, _, self._name = table.rpartition(".")
        self.where = f"table {table}"
        if len(f"{self._name}_delivered") > self._longest:
            raise ConfigError(
                "The name of the delivered table is too long for the database.",
                expected=f"at most {self._longest - len('_delivered')} characters, so that `{self._name}_delivered` has {self._longest}",
                found=f"{len(self._name)} characters",
                where=self.where,
                remedy="shorten `table` in `score.deliver`",
            )
        self._record = sa.Table(
            f"{self._name}_delivered",
            sa.MetaData(schema=self._schema or None),
            sa.Column(MODEL, sa.String(200), primary_key=True),
            sa.Column(AFTER, sa.DateTime(timezone=True), primary_key=True),
            sa.Column(UNTIL, sa.DateTime(timezone=True), primary_key=True),
            sa.Column("version", sa.String(200)),
            sa.Column("publication", sa.BigInteger, nullable=False),
            sa.Column("scores", sa.String(64)),
            sa.Column("score_rows", sa.BigInteger, nullable=False),
            sa.Column("delivered_at", sa.DateTime(timezone=True)),
        )

    def deliver(
        self,
        manifest: Manifest,
        number: int,
        scores: pa.Table,
        before: Callable[[str], pa.Table | None],
        *,
        at: datetime,
    ) -> int:
        """Put the scores of one publication into the table, in the place of older ones of its interval.

        Parameters
        ----------
        manifest : Manifest
            The publication.
        number : int
            Its place among the publications of the interval, counted from one.
        scores : pyarrow.Table
            Its scores.
        before : callable
            Given the digest of scores that were delivered before, returns them, or None if they are not kept any more.
        at : datetime
            Goes on record as the time of the delivery.

        Returns
        -------
        int
            How many rows were deleted or written; 0 if the interval was as it should be.

        Raises
        ------
        DataError
            When the table has other columns, or the database refuses.
        StoreUnavailable
            When it does not answer.
        """
        scores = self._named(scores)

        def old(digest: str) -> pa.Table | None:
            found = before(digest)
            return None if found is None else self._named(found)

        with self._errors():
            table = self._made(scores.schema)
            for attempt in range(_TRIES):
                try:
                    with self._engine.begin() as connection:
                        return self._put(connection, table, manifest, number, scores, old, at)
                except IntegrityError:  # another task has begun the interval meanwhile
                    if attempt == _TRIES - 1:
                        raise
        raise AssertionError

    def versions(self) -> list[tuple[Window, str]]:
        """Return which publication is in the table for each interval, ascending."""
        record = self._record.c
        asked = sa.select(record[AFTER], record[UNTIL], record.version).where(record[MODEL] == self._model)
        with self._errors(), self._engine.connect() as connection:
            rows = connection.execute(asked.order_by(record[AFTER], record[UNTIL])).all()
        return [(Window(_utc(after), _utc(until)), version) for after, until, version in rows]

    def _put(
        self,
        connection: sa.Connection,
        table: sa.Table,
        manifest: Manifest,
        number: int,
        scores: pa.Table,
        before: Callable[[str], pa.Table | None],
        at: datetime,
    ) -> int:
        window = manifest.interval
        place = {MODEL: self._model, AFTER: window.after, UNTIL: window.until}
        record = self._record
        here = sa.and_(*(record.c[name] == value for name, value in place.items()))
        # An update that changes nothing locks the row in every database, where SELECT ... FOR UPDATE is not known to all.
        if not connection.execute(sa.update(record).where(here).values(publication=record.c.publication)).rowcount:
            connection.execute(sa.insert(record).values(**place, publication=0, score_rows=0))
        newest, digest = connection.execute(sa.select(record.c.publication, record.c.scores).where(here)).one()
        if newest > number:
            log.info("%s holds publication %d of this interval, which is newer than %d", self.where, newest, number)
            return 0
        inside = sa.and_(*(table.c[name] == value for name, value in place.items()))
        counted = sa.select(sa.func.count()).select_from(table).where(inside)
        there = connection.execute(counted).scalar_one()
        if (newest, digest, there) == (number, manifest.scores, manifest.rows):
            return 0
        old = before(digest) if digest is not None else None
        gone, new = _changes(old, scores, self._keys)
        if old is None or there != old.num_rows or 2 * gone.num_rows > there:
            done = connection.execute(sa.delete(table).where(inside)).rowcount
            new = scores
        else:
            done = gone.num_rows
            named = sa.and_(*(table.c[name] == sa.bindparam(f"key_{n}") for n, name in enumerate(self._keys)))
            for rows in _batches(gone.rename_columns([f"key_{n}" for n in range(len(self._keys))])):
                connection.execute(sa.delete(table).where(inside, named), rows)
        for rows in _batches(new):
            connection.execute(sa.insert(table), [row | place for row in rows])
        if (found := connection.execute(counted).scalar_one()) != manifest.rows:
            raise DataError(
                "The table does not contain the scores that were written.",
                expected=f"{manifest.rows:,} rows of the interval until {manifest.until}",
                found=f"{found:,}",
                where=self.where,
                remedy="look for a trigger of the database that adds or drops rows, or another writer",
            )
        said = {"version": manifest.version, "publication": number, "scores": manifest.scores}
        connection.execute(sa.update(record).where(here).values(**said, score_rows=manifest.rows, delivered_at=at))
        return int(done) + int(new.num_rows)

    def _named(self, scores: pa.Table) -> pa.Table:
        return scores.rename_columns([column_name(name, self._longest) for name in scores.column_names])

    def _made(self, schema: pa.Schema) -> sa.Table:
        """Return the table, which is made if it is not there; raises `DataError` if it lacks a column."""
        require_free(schema.names, self.where)
        columns = [sa.Column(one.name, one.type, primary_key=True) for one in self._record.primary_key]
        columns += [
            sa.Column(field.name, sql_type(field.type), primary_key=field.name in self._keys, autoincrement=False)
            for field in schema
        ]
        table = sa.Table(self._name, sa.MetaData(schema=self._schema or None), *columns)
        for one in (self._record, table):
            try:
                one.create(self._engine, checkfirst=True)
            except DBAPIError:
                # Two tasks may find it missing at once.
                if not sa.inspect(self._engine).has_table(one.name, one.schema):
                    raise
        known = {one["name"] for one in sa.inspect(self._engine).get_columns(self._name, self._schema or None)}
        if missing := [one.name for one in table.c if one.name not in known]:
            raise DataError(
                f"The table has no column `{missing[0]}`, which the scores have.",
                expected=", ".join(one.name for one in table.c),
                found=", ".join(sorted(known)),
                where=self.where,
                remedy="add it there (ALTER TABLE), or name another table in `score.deliver`",
            )
        return table

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            if error.connection_invalidated or error.statement is None or isinstance(error, OperationalError):
                raise StoreUnavailable(
                    "The database did not accept the scores.",
                    found=type(error.orig).__name__,
                    where=self.where,
                    remedy="try again later; nothing of this interval was changed",
                ) from error
            raise DataError(  # the database's message may contain values of a row
                "The database refused the scores.",
                found=type(error.orig).__name__,
                where=self.where,
                remedy="look whether the connection may create and change the table, and whether its columns have the types of the scores",
            ) from None


def _changes(old: pa.Table | None, new: pa.Table, keys: list[str]) -> tuple[pa.Table, pa.Table]:
    """Return the keys of rows that are gone or changed, and the rows that are new or changed."""
    if old is None or old.schema != new.schema:
        return (new if old is None else old).select(keys), new
    gone = old.join(new, old.column_names, join_type="left anti").select(keys)
    return gone, new.join(old, new.column_names, join_type="left anti")


def _batches(table: pa.Table) -> Iterator[list[dict[str, Any]]]:
    for batch in table.to_batches(max_chunksize=_BATCH):
        if batch.num_rows:
            yield batch.to_pylist()


def _utc(instant: datetime) -> datetime:
    # SQLite keeps times without their zone.
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
