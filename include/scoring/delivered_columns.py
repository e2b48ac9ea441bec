"""Columns of delivered scores: those of their place, and names and types in a database."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from include.errors import DataError

MODEL, AFTER, UNTIL = "model", "interval_after", "interval_until"


def require_free(names: Collection[str], where: str) -> None:
    """Raise `DataError` if a column of scores has the name of a column that delivery adds for model and interval."""
    if taken := {MODEL, AFTER, UNTIL} & set(names):
        raise DataError(
            f"The column `{min(taken)}` of the scores has the name of a column that delivery adds.",
            expected=f"other names than {MODEL}, {AFTER} and {UNTIL}",
            where=where,
            remedy="rename it in the source, or deliver files",
        )


def column_name(name: str, longest: int) -> str:
    """Return the name of a column in a database: a name that is too long for it is cut, and ends with ``_`` and eight digits of its SHA-256.

    PostgreSQL cuts names at 63 bytes without a word, so that two columns could become one, and none would be found again.

    Parameters
    ----------
    name : str
        Of a column of the scores.
    longest : int
        How many bytes a name may have there.
    """
    body = name.encode()
    if len(body) <= longest:
        return name
    return f"{body[: longest - 9].decode(errors='ignore')}_{hashlib.sha256(body).hexdigest()[:8]}"


def sql_type(arrow: pa.DataType) -> sa.types.TypeEngine[Any]:
    """Return the type of a database's column for one of the scores."""
    match arrow:
        case _ if pa.types.is_boolean(arrow):
            return sa.Boolean()
        case _ if pa.types.is_integer(arrow):
            return sa.BigInteger()
        case _ if pa.types.is_floating(arrow):
            return sa.Double()
        case _ if pa.types.is_decimal(arrow):
            return sa.Numeric(arrow.precision, arrow.scale)
        case _ if pa.types.is_timestamp(arrow):
            return sa.DateTime(timezone=arrow.tz is not None)
        case _ if pa.types.is_date(arrow):
            return sa.Date()
    return sa.Text()
