"""Draft a model from a Delta Lake or Iceberg table, whose rows stay where they are."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from include.config.sections.data import Data
from include.config.sections.rows.lake import DeltaSource, IcebergSource
from include.data.columns.conversion import declared_type
from include.data.sources.file_listing import File, open_on_disk
from include.data.sources.protocol import Reader, ReadRequest
from include.drafting.origins import EnvironmentConnections
from include.drafting.profile import Profile
from include.errors import ConfigError

LakeTable = DeltaSource | IcebergSource


def lake_table_at(place: str, connection: str | None) -> LakeTable | None:
    """Return the table whose folder this is; None for any other place.

    Parameters
    ----------
    place : str
        A path on this machine's disk, or an address in S3.
    connection : str, optional
        The id of the Airflow connection that runs use.
    """
    if place.startswith("s3://"):
        path, names = place.rstrip("/"), _names_in_s3(place.rstrip("/"))
    else:
        path = str(Path(place).resolve())
        names = [f"{below}/{one.name}" for below in ("_delta_log", "metadata") for one in Path(path, below).glob("*")]
    # A Delta table may describe itself to readers of Iceberg, too.
    if any(name.startswith("_delta_log/") for name in names):
        return DeltaSource(kind="delta", path=path, connection=connection)
    if any(name.endswith(".metadata.json") for name in names):
        return IcebergSource(kind="iceberg", path=path, connection=connection)
    return None


def _names_in_s3(place: str) -> list[str]:
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    client, found = EnvironmentConnections().s3(None), []
    for below in ("_delta_log/", "metadata/"):
        first = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{below}".lstrip("/"))
        found += [item["Key"].removeprefix(prefix).lstrip("/") for item in first.get("Contents", ())]
    return found


@contextmanager
def lake_rows(table: LakeTable, folder: Path) -> Iterator[File]:
    """Give the rows of a table as a file of Parquet, for as long as the context.

    Raises
    ------
    ConfigError
        When its library is not installed, or it has no row.
    SourceError, StoreUnavailable
        When it can't be read, or lies where no source may.
    """
    data = Data.model_validate({"source": table.model_dump(), "target": "draft"})
    read: Reader = importlib.import_module(f"include.data.sources.lake.{table.kind}").read
    with tempfile.TemporaryDirectory(prefix="ratchet-new-") as scratch:
        path = Path(scratch) / "rows.parquet"
        batches = read(ReadRequest(data, table, folder, (), EnvironmentConnections()))
        first = next(batches, None)
        if first is None:
            raise ConfigError("The table has no rows.", found=table.path)
        with pq.ParquetWriter(path, first.table.schema) as file:
            file.write_table(first.table)
            for batch in batches:
                file.write_table(batch.table.cast(first.table.schema))
        yield File(str(table.path), lambda: open_on_disk(path), local=path)


def with_types(table: LakeTable, file: File, seen: Profile, event_time: str | None) -> LakeTable:
    """Return the source of a run: the table, with the type of an event time that it keeps otherwise.

    Parameters
    ----------
    table : DeltaSource or IcebergSource
    file : File
        Its rows.
    seen : Profile
        What the rows look like.
    event_time : str, optional

    Raises
    ------
    ConfigError
        When the event time is a text or a number that needs a format, which tables can't declare.
    """
    if event_time is None:
        return table
    schema: pa.Schema = pq.read_schema(file.local)
    if declared_type(schema.field(event_time).type) == "timestamp":
        return table
    if seen.columns[event_time].guess.column.format is not None:
        raise ConfigError(
            f"The event time `{event_time}` is no time in the table.",
            expected="a column of type date or timestamp, or a text in ISO 8601",
            where=table.path,
            remedy="write it as a timestamp there, or read the table by a query that casts it: `kind: sql`, `kind: spark`",
        )
    return table.model_copy(update={"types": {event_time: "timestamp"}})
