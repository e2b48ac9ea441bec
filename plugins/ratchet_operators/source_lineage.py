"""Where a model's rows come from, for OpenLineage: files and tables by the names that its specification gives them.

Tables of Delta Lake and Iceberg are what lies at their place. What Spark reads is named by its server and as Spark names it,
unless the query names a place.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from include.config.sections.rows.lake import DeltaSource, IcebergSource, SparkSource
from include.config.sections.rows.sources import SqlSource
from ratchet_operators.connections import AirflowConnections
from ratchet_operators.lineage import Lineage, LineageDataset, Statement, name_of, rows_of

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from include.config.model import ModelConfig
    from include.data.snapshots import Snapshot
    from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

_PLACE = re.compile(r"[a-z_]+\.((?:[a-z][a-z0-9+.-]*:)?/.*)")
"""A table that Spark reads by its place: ``delta.`s3://lake/orders```, without the marks."""


@dataclass(frozen=True)
class SqlStatement:
    """An SQL statement that names the tables that are read and written, through an Airflow connection."""

    connection: str
    sql: str

    def parsed(self) -> OperatorLineage[Any, Any] | None:
        """Return its tables, without asking the database: the task has ended."""
        from airflow.providers.openlineage.sqlparser import get_openlineage_facets_with_sql
        from airflow.sdk import BaseHook

        hook = BaseHook.get_connection(self.connection).get_hook()  # type: ignore[no-untyped-call] # as Airflow has it
        return get_openlineage_facets_with_sql(hook, self.sql, self.connection, None, use_connection=False)


@dataclass(frozen=True)
class SparkQuery:
    """A query, or a table alone, that a Spark Connect server reads."""

    connection: str
    query: str | None
    table: str | None

    def parsed(self) -> OperatorLineage[Any, Any] | None:
        """Return the tables that it names, without asking Spark for their location."""
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset
        from openlineage.common.sql import parse

        server = urlsplit(AirflowConnections().spark(self.connection))
        if self.table is not None:
            tables = [self.table]
        else:
            found = parse([str(self.query)], dialect="spark")
            tables = [] if found is None else [one.qualified_name for one in found.in_tables]
        here = f"spark://{server.hostname}:{server.port}"
        names = [name_of(place.group(1)) if (place := _PLACE.fullmatch(one)) else (here, one) for one in tables]
        told: OperatorLineage[Any, Any] = OperatorLineage(inputs=[InputDataset(*name) for name in names])
        return told


@dataclass(frozen=True)
class CatalogTable:
    """An Iceberg table by its name in a catalog, which knows its location."""

    source: IcebergSource

    def parsed(self) -> OperatorLineage[Any, Any] | None:
        """Return its location and its name in the catalog; None if the catalog does not give a location."""
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset
        from openlineage.client.facet_v2 import symlinks_dataset as symlinks

        from include.data.sources.lake.iceberg_tables import location_in_catalog

        try:
            place = location_in_catalog(self.source, AirflowConnections())
        except Exception as error:  # noqa: BLE001 - of any catalog; the rows are there, and the rest is told
            log.warning("The location of %s is not reported: %s", self.source.table, type(error).__name__)
            return None
        name = symlinks.Identifier(str(self.source.catalog), str(self.source.table), "TABLE")
        facets: dict[str, Any] = {"symlinks": symlinks.SymlinksDatasetFacet(identifiers=[name])}
        told: OperatorLineage[Any, Any] = OperatorLineage(inputs=[InputDataset(*name_of(place), facets=facets)])
        return told


def source_of(model: ModelConfig, folder: Path) -> Lineage:
    """Return where a model's rows come from, as far as model.yaml declares it; it does not declare what a Python reader reads.

    Parameters
    ----------
    model : ModelConfig
    folder : Path
        The model's folder.
    """
    inputs: list[LineageDataset] = []
    statements: list[Statement] = []
    for source in (model.data.source, *(join.source for join in model.data.joins)):
        version = None
        if isinstance(source, DeltaSource):
            version = source.version
        elif isinstance(source, IcebergSource):
            version = source.snapshot
        for place in source.places:
            inputs.append(LineageDataset(_address(place, folder), version=None if version is None else str(version)))
        if isinstance(source, SqlSource):
            statements.append(SqlStatement(source.connection, source.query))
        elif isinstance(source, SparkSource):
            statements.append(SparkQuery(source.connection, source.query, source.table))
        elif isinstance(source, IcebergSource) and source.path is None:
            statements.append(CatalogTable(source))
    return Lineage(tuple(inputs), statements=tuple(statements))


def ingested_rows(model: ModelConfig, folder: Path, store: ObjectStore, snapshots: Sequence[Snapshot]) -> Lineage:
    """Return what is read and written where rows are brought in and then used.

    Parameters
    ----------
    model : ModelConfig
    folder : Path
        The model's folder.
    store : ObjectStore
    snapshots : sequence of Snapshot
        Of the rows that were brought in; without any nothing was read.
    """
    rows = tuple(one for snapshot in snapshots for one in rows_of(store, snapshot))
    return replace(source_of(model, folder), outputs=rows) + Lineage(rows) if snapshots else Lineage()


def _address(place: str, folder: Path) -> str:
    """Return the address of a declared place: of a pattern the folder that it begins with, of Iceberg's metadata its table."""
    fixed = re.split(r"[*?{\[%]", place)[0]
    whole = fixed if fixed == place else fixed.rpartition("/")[0]
    whole = re.sub(r"/metadata/[^/]+\.metadata\.json$", "", whole)
    return whole if "://" in whole else (folder / whole).absolute().as_uri()
