"""Tables of a lake: Delta Lake, Iceberg, SQL over files by DuckDB, and what Spark reads; each needs an optional library."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, field_validator, model_validator

from include.config.sections.rows.sources import ColumnType, FilesSource, SourceSection

_AS_TEXT = PlainSerializer(lambda number: number if number < 2**53 else str(number), when_used="json")
"""JSON does not hold every id of a table's snapshot as a number."""


class DeltaSource(SourceSection):
    """A Delta Lake table on a disk that every worker sees, or in S3; needs the extra `lake`."""

    kind: Literal["delta"]
    path: str
    """The table's folder, on disk or behind `s3://`. A relative path starts at the model's folder."""
    version: int | None = Field(default=None, ge=0, exclude_if=lambda version: version is None)
    """The version to read, for good. Left out, each run reads the newest one, says in its log which, and keeps the rows that it found."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns whose own are not what is meant, such as a time that is kept as a text."""
    connection: str | None = None
    """The Airflow connection (type `aws`) that opens the bucket; the default chain of AWS credentials if left out."""

    @property
    def places(self) -> tuple[str, ...]:
        """Its path."""
        return (self.path,)

    @field_validator("path")
    @classmethod
    def _here_or_in_s3(cls, path: str) -> str:
        _check_scheme(path)
        return path


class IcebergSource(SourceSection):
    """A table of Apache Iceberg, by its name in a catalog or by its folder; needs the extra `lake`."""

    kind: Literal["iceberg"]
    table: str | None = Field(default=None, pattern=r"^[^.\s]+(\.[^.\s]+)+$")
    """The table's name in the catalog, with its namespace: `sales.orders`."""
    catalog: str | None = None
    """The name of a catalog that who runs the deployment configured for the library `pyiceberg`: by variables such as `PYICEBERG_CATALOG__LAKE__URI` for the catalog `lake`, where tasks run. Required with `table`."""
    path: str | None = None
    """Instead of `table` and `catalog`: the table's folder, whose newest metadata is read, or one metadata file, on disk or behind `s3://`. A relative path starts at the model's folder."""
    snapshot: Annotated[int, _AS_TEXT] | None = Field(default=None, ge=0, exclude_if=lambda snapshot: snapshot is None)
    """The id of the table's snapshot to read, for good. Left out, each run reads the current one, says in its log which, and keeps the rows that it found."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns whose own are not what is meant, such as a time that is kept as a text."""
    connection: str | None = None
    """The Airflow connection (type `aws`) that opens the bucket; what the catalog says, or the default chain of AWS credentials, if left out."""

    @property
    def places(self) -> tuple[str, ...]:
        """Its path, if it is not named in a catalog."""
        return () if self.path is None else (self.path,)

    @property
    def remote(self) -> bool:
        """Also behind a catalog."""
        return self.path is None or super().remote

    @model_validator(mode="after")
    def _one_place(self) -> IcebergSource:
        if (self.path is None) == (self.table is None) or (self.table is None) != (self.catalog is None):
            raise ValueError("expected `table` and `catalog`, or `path` alone")
        if self.path is not None:
            _check_scheme(self.path)
        return self


class DuckdbSource(SourceSection):
    """One query of SQL over files, run by DuckDB inside the task; needs the extra `lake`."""

    kind: Literal["duckdb"]
    query: str
    """A SELECT over `tables` with the bounds `:start` (inclusive) and `:end` (exclusive) on event time; they come as the event time is: with a zone, or without one in `data.timezone`. Without them for a table that has no event time. It sees the declared tables and nothing else of the machine or the net."""
    tables: dict[str, FilesSource] = Field(min_length=1)
    """The files that the query reads, by the name that each table has in it; declared as a source of files is, `kind` left out, and without date parts in paths."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns whose own are not what is meant, such as one that is often empty."""

    @property
    def places(self) -> tuple[str, ...]:
        """Those of its tables."""
        return tuple(files.path for files in self.tables.values())

    @field_validator("tables", mode="before")
    @classmethod
    def _of_files(cls, tables: Any) -> Any:
        if not isinstance(tables, dict):
            return tables
        return {name: {"kind": "files", **one} if isinstance(one, dict) else one for name, one in tables.items()}

    @field_validator("tables")
    @classmethod
    def _nameable(cls, tables: dict[str, FilesSource]) -> dict[str, FilesSource]:
        for name, files in tables.items():
            if not re.fullmatch(r"[A-Za-z_]\w{0,62}", name, re.ASCII):
                raise ValueError(f"expected a table's name of letters, digits and underscores, found `{name}`")
            if "%" in files.path:
                raise ValueError(
                    f"expected a path without date parts, found `{files.path}`: the query's bounds choose the rows"
                )
        return tables


class SparkSource(SourceSection):
    """One query or table, read by a Spark cluster through Spark Connect; needs the extra `spark`."""

    kind: Literal["spark"]
    connection: str
    """The Airflow connection of the Spark Connect server: host and port, a token as its password, `use_ssl` in its extras."""
    query: str | None = None
    """A SELECT with the bounds `:start` (inclusive) and `:end` (exclusive) on event time, which are timestamps; the session's time zone is `data.timezone`. Without them for a table that has no event time."""
    table: str | None = None
    """Instead of `query`: a table as Spark names it, such as `lake.sales.orders`; the bounds are added."""
    types: dict[str, ColumnType] = Field(default_factory=dict)
    """Types of columns whose own are not what is meant, such as one that is often empty."""

    @property
    def remote(self) -> bool:
        """Always."""
        return True

    @model_validator(mode="after")
    def _one_of_two(self) -> SparkSource:
        if (self.query is None) == (self.table is None):
            raise ValueError("expected one of `query` and `table`")
        return self


def _check_scheme(path: str) -> None:
    scheme, found, _ = path.partition("://")
    if found and scheme != "s3":
        raise ValueError(f"expected a path or an `s3://` address, found `{scheme}://`")
