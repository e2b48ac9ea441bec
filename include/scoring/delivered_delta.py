"""Scores in a Delta Lake table: each interval is merged by the row's id, in one commit that also says which publication it was.

A commit carries a transaction id of Delta's own protocol, ``ratchet:<model>:<interval>``, with the number of the publication. So a killed
delivery leaves files that no commit names, a repeated one finds its number, and of two concurrent deliveries the newer
publication remains, in any order. Unchanged rows are not written, except those in a file with a changed row.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from include.data.sources.lake.libraries import library
from include.data.windows import Window
from include.errors import DataError, StoreUnavailable
from include.scoring.delivered_columns import AFTER, MODEL, UNTIL, require_free
from include.scoring.publication import Manifest, name_of
from include.scoring.scores import VERSION

log = logging.getLogger(__name__)

_TRIES = 8
_TIME = pa.timestamp("us", "UTC")
_WRITTEN = ("inserted", "updated", "deleted")


class DeliveredDelta:
    """The scores of one model in a Delta Lake table, which is made if it is not there.

    Parameters
    ----------
    path : str
        ``s3://bucket/prefix`` or ``file:///folder``.
    options : dict of str to str or None
        How `deltalake` reaches a bucket.
    model : str
        Whose scores; those of other models in the table are left alone.
    keys : sequence of str
        The columns of the scores that name a row.
    """

    def __init__(self, path: str, options: dict[str, str] | None, model: str, keys: list[str]) -> None:
        library("deltalake.exceptions", "lake")  # which `deltalake` itself does not import
        self._library, self._options = library("deltalake", "lake"), options
        self._model, self._keys = model, keys
        self.where = path
        self._path = path

    def deliver(self, manifest: Manifest, number: int, scores: pa.Table) -> int:
        """Merge the scores of one publication into the table, in the place of older ones of its interval.

        Parameters
        ----------
        manifest : Manifest
            The publication.
        number : int
            Its place among the publications of the interval, counted from one.
        scores : pyarrow.Table
            Its scores.

        Returns
        -------
        int
            How many rows were inserted, updated or deleted; 0 if the interval was as it should be.

        Raises
        ------
        DataError
            When the table has other columns, or can't be written.
        StoreUnavailable
            When it does not answer, or others write to it all the time.
        """
        window = manifest.interval
        rows = self._placed(scores, window)
        transaction = f"ratchet:{self._model}:{name_of(window)}"
        with self._errors():
            self._library.DeltaTable.create(
                self._path, rows.schema, mode="ignore", partition_by=[MODEL, AFTER], storage_options=self._options
            )
            for _ in range(_TRIES):
                table = self._library.DeltaTable(self._path, storage_options=self._options)
                self._check(table, rows)
                newest = table.transaction_version(transaction) or 0
                if newest > number:
                    log.info("%s holds publication %d of this interval, newer than %d", self.where, newest, number)
                    return 0
                if newest == number and self._counted(table, window) == manifest.rows:
                    return 0
                try:
                    return self._merge(table, rows, window, transaction, number)
                except self._library.exceptions.CommitFailedError:
                    log.info("%s: another writer was faster; the delivery looks again", self.where)
        raise StoreUnavailable(
            "Other writers commit to the table without a pause.",
            expected=f"a commit within {_TRIES} tries",
            where=self.where,
            remedy="try again; nothing of this interval was changed",
        )

    def _placed(self, scores: pa.Table, window: Window) -> pa.Table:
        """Return the scores with the columns of their place among the first."""
        require_free(scores.column_names, self.where)
        rows = scores.num_rows
        place = {
            MODEL: pa.array([self._model] * rows, pa.string()),
            AFTER: pa.array([window.after] * rows, _TIME),
            UNTIL: pa.array([window.until] * rows, _TIME),
            VERSION: scores[VERSION],
        }
        return pa.table({**place, **{name: scores[name] for name in scores.column_names if name != VERSION}})

    def _check(self, table: Any, rows: pa.Table) -> None:
        known = [field.name for field in table.schema().fields]
        if missing := [name for name in rows.column_names if name not in known]:
            raise DataError(
                f"The table has no column `{missing[0]}`, which the scores have.",
                expected=", ".join(rows.column_names),
                found=", ".join(known),
                where=self.where,
                remedy="add it there (ALTER TABLE ... ADD COLUMNS), or name another table in `score.deliver`",
            )

    def _counted(self, table: Any, window: Window) -> int:
        inside = (ds.field(MODEL) == self._model) & (ds.field(AFTER) == pa.scalar(window.after, _TIME))
        inside &= ds.field(UNTIL) == pa.scalar(window.until, _TIME)
        return int(table.to_pyarrow_dataset().count_rows(filter=inside))

    def _merge(self, table: Any, rows: pa.Table, window: Window, transaction: str, number: int) -> int:
        place = {AFTER: window.after, UNTIL: window.until}
        instants = [f"t.{name} = CAST('{at:%Y-%m-%dT%H:%M:%SZ}' AS TIMESTAMP)" for name, at in place.items()]
        inside = " AND ".join([f"t.{MODEL} = '{self._model}'", *instants])
        same = " AND ".join([inside, *(f"t.{_quoted(name)} = s.{_quoted(name)}" for name in self._keys)])
        values = [name for name in rows.column_names if name not in (MODEL, AFTER, UNTIL, *self._keys)]
        differ = " OR ".join(f"(t.{_quoted(name)} IS DISTINCT FROM s.{_quoted(name)})" for name in values)
        properties = self._library.CommitProperties(app_transactions=[self._library.Transaction(transaction, number)])
        merging = table.merge(rows, same, source_alias="s", target_alias="t", commit_properties=properties)
        merging = merging.when_matched_update_all(predicate=differ).when_not_matched_insert_all()
        done = merging.when_not_matched_by_source_delete(predicate=inside).execute()
        return sum(int(done[f"num_target_rows_{what}"]) for what in _WRITTEN)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (self._library.exceptions.DeltaError, OSError) as error:
            if isinstance(error, OSError) and self._options is not None:
                raise StoreUnavailable(
                    "The bucket did not accept the scores.",
                    found=type(error).__name__,
                    where=self.where,
                    remedy="try again later; nothing of this interval was changed",
                ) from error
            raise DataError(  # the library's message may contain values of a row
                "The Delta Lake table can't be written.",
                expected="a table that `deltalake` writes, whose columns have the types of the scores",
                found=type(error).__name__,
                where=self.where,
                remedy="look whether another engine added constraints or features to the table, or name another one in `score.deliver`",
            ) from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
