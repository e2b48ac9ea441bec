"""What a task read and wrote, for OpenLineage: data sets with columns, numbers of rows, versions and checks, and no value of any row.

A task sets `RatchetOperator.lineage` in words of its own. Airflow's provider of OpenLineage, where it is installed, asks for it in
its words once the task has ended; without it nobody asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from include.config.sections.rows.sources import SqlSource

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from include.config.model import ModelConfig
    from include.data.snapshots import Snapshot
    from include.storage.store import ObjectStore


@dataclass(frozen=True)
class LineageDataset:
    """One data set.

    Attributes
    ----------
    place : str
        Its address: ``file:///folder/...`` or ``s3://bucket/...``.
    schema : dict
        The type of each column, in the words of model.yaml.
    version : str or None
        What names its content: a digest, or a model's version.
    checks : sequence of dict
        The checks of a quality report.
    """

    place: str
    schema: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    version: str | None = None
    checks: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class SqlStatement:
    """A statement that says by itself what is read and written, through an Airflow connection."""

    connection: str
    sql: str


@dataclass(frozen=True)
class Lineage:
    """What a task read and wrote."""

    inputs: tuple[LineageDataset, ...] = ()
    outputs: tuple[LineageDataset, ...] = ()
    statements: tuple[SqlStatement, ...] = ()

    def to_openlineage(self) -> OperatorLineage[Any, Any]:
        """Return it in the words of OpenLineage."""
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset, OutputDataset

        told: OperatorLineage[Any, Any] = OperatorLineage()
        for one in self.inputs:
            told.inputs.append(InputDataset(*_name(one.place), facets=_facets(one), inputFacets=_input_facets(one)))
        for one in self.outputs:
            told.outputs.append(OutputDataset(*_name(one.place), facets=_facets(one), outputFacets=_output_facets(one)))
        for statement in self.statements:
            if (parsed := _parsed(statement)) is not None:
                told = told.merge(parsed)
        return told


def rows_of(
    store: ObjectStore, snapshot: Snapshot, checks: Sequence[Mapping[str, Any]] = ()
) -> tuple[LineageDataset, ...]:
    """Return the partitions that a snapshot pins, of the model's own source first; ``checks`` are about those."""
    from include.data.snapshots import partitions_folder

    return tuple(
        LineageDataset(
            f"{store.url}/{partitions_folder(source.model, source.source)}",
            source.own_schema,
            sum(pinned.rows for pinned in source.partitions),
            snapshot.digest if number == 0 else None,
            checks if number == 0 else (),
        )
        for number, source in enumerate(snapshot.sources)
    )


def source_of(model: ModelConfig, folder: Path) -> Lineage:
    """Return where a model's rows come from, as far as model.yaml says it; what a Python reader reads it does not say."""
    inputs, statements = [], []
    for source in (model.data.source, *(join.source for join in model.data.joins)):
        for place in source.places:
            fixed = re.split(r"[*?{\[]", place)[0]
            whole = fixed if fixed == place else fixed.rpartition("/")[0]
            inputs.append(LineageDataset(whole if "://" in whole else (folder / whole).absolute().as_uri()))
        if isinstance(source, SqlSource):
            statements.append(SqlStatement(source.connection, source.query))
    return Lineage(tuple(inputs), statements=tuple(statements))


def _name(place: str) -> tuple[str, str]:
    """Return namespace and name, as OpenLineage names objects in S3 and files."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return "file", unquote(parts.path)
    return f"{parts.scheme}://{parts.netloc}", unquote(parts.path).strip("/") or "/"


def _facets(one: LineageDataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import dataset_version_dataset, schema_dataset

    facets: dict[str, Any] = {}
    if one.schema:
        fields = [schema_dataset.SchemaDatasetFacetFields(name, kind) for name, kind in one.schema.items()]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    if one.version is not None:
        facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=one.version)
    return facets


def _input_facets(one: LineageDataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import data_quality_assertions_dataset as assertions
    from openlineage.client.facet_v2 import data_quality_metrics_input_dataset as metrics
    from openlineage.client.facet_v2 import input_statistics_input_dataset as statistics

    facets: dict[str, Any] = {}
    if one.rows is not None:
        facets["inputStatistics"] = statistics.InputStatisticsInputDatasetFacet(rowCount=one.rows)
        facets["dataQualityMetrics"] = metrics.DataQualityMetricsInputDatasetFacet(columnMetrics={}, rowCount=one.rows)
    if one.checks:
        told = [
            assertions.Assertion(
                assertion=str(check["expectation"]),
                success=check["status"] == "passed",
                # Of the arguments the column alone: others may be values.
                column=check["arguments"].get("column"),
                severity="error" if check["severity"] == "critical" else "warn",
            )
            for check in one.checks
        ]
        facets["dataQualityAssertions"] = assertions.DataQualityAssertionsDatasetFacet(assertions=told)
    return facets


def _output_facets(one: LineageDataset) -> dict[str, Any]:
    from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

    return (
        {}
        if one.rows is None
        else {"outputStatistics": statistics.OutputStatisticsOutputDatasetFacet(rowCount=one.rows)}
    )


def _parsed(statement: SqlStatement) -> OperatorLineage[Any, Any] | None:
    from airflow.providers.openlineage.sqlparser import get_openlineage_facets_with_sql
    from airflow.sdk import BaseHook

    hook = BaseHook.get_connection(statement.connection).get_hook()  # type: ignore[no-untyped-call] # as Airflow has it
    # Without asking the database: the task has ended.
    return get_openlineage_facets_with_sql(hook, statement.sql, statement.connection, None, use_connection=False)
