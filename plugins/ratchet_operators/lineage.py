"""What a task read and wrote, for OpenLineage: data sets with columns, numbers of rows, versions and checks, and no value of any row.

A task sets `RatchetOperator.lineage` in words of its own. Airflow's provider of OpenLineage, where it is installed, reads it
in OpenLineage's form when the task has ended; without the provider it is not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage

    from include.data.snapshots import Snapshot
    from include.storage.store import ObjectStore


@dataclass(frozen=True)
class Removed:
    """How much was removed from a data set."""

    objects: int
    size: int
    """In bytes."""


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
    removed : Removed or None
        What was removed from it.
    """

    place: str
    schema: Mapping[str, str] = field(default_factory=dict)
    rows: int | None = None
    version: str | None = None
    checks: Sequence[Mapping[str, Any]] = ()
    removed: Removed | None = None


class Statement(Protocol):
    """Something by which more is known of what was read and written than the declaration says; asked where the provider is installed."""

    def parsed(self) -> OperatorLineage[Any, Any] | None:
        """Return it as OpenLineage data sets and facets, or None if it is empty."""


@dataclass(frozen=True)
class Lineage:
    """What a task read and wrote; two of them can be added."""

    inputs: tuple[LineageDataset, ...] = ()
    outputs: tuple[LineageDataset, ...] = ()
    statements: tuple[Statement, ...] = ()

    def __add__(self, other: Lineage) -> Lineage:
        return Lineage(
            (*self.inputs, *(one for one in other.inputs if one not in self.inputs)),
            (*self.outputs, *(one for one in other.outputs if one not in self.outputs)),
            (*self.statements, *(one for one in other.statements if one not in self.statements)),
        )

    def to_openlineage(self) -> OperatorLineage[Any, Any]:
        """Return it in the words of OpenLineage."""
        from airflow.providers.openlineage.extractors import OperatorLineage
        from openlineage.client.event_v2 import InputDataset, OutputDataset

        told: OperatorLineage[Any, Any] = OperatorLineage()
        for one in self.inputs:
            told.inputs.append(InputDataset(*name_of(one.place), facets=_facets(one), inputFacets=_input_facets(one)))
        for one in self.outputs:
            told.outputs.append(
                OutputDataset(*name_of(one.place), facets=_facets(one), outputFacets=_output_facets(one))
            )
        for statement in self.statements:
            if (parsed := statement.parsed()) is not None:
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


def stored(
    store: ObjectStore,
    model: str,
    kind: str,
    *,
    rows: int | None = None,
    version: str | None = None,
    removed: Removed | None = None,
) -> LineageDataset:
    """Return what a store keeps of one kind of a model, such as its ``fits``, as one data set.

    Parameters
    ----------
    store : ObjectStore
    model : str
        The name under which the store keeps it; of a segment with that.
    kind : str
        The folder below it.
    rows : int, optional
    version : str, optional
        What names the content that was read or written.
    removed : Removed, optional
        What was removed from it.
    """
    return LineageDataset(f"{store.url}/{model}/{kind}", rows=rows, version=version, removed=removed)


def name_of(place: str) -> tuple[str, str]:
    """Return namespace and name, as OpenLineage names objects in S3 and files.

    Parameters
    ----------
    place : str
        An address, as in `LineageDataset`.
    """
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
    if one.removed is not None:
        facets["ratchet_removed"] = _removed_facet()(one.removed.objects, one.removed.size)
    return facets


@cache
def _removed_facet() -> Any:
    """Return a kind of facet of our own: OpenLineage has none for what a clean-up takes away."""
    import attr
    from openlineage.client.facet_v2 import DatasetFacet

    @attr.define
    class RemovedDatasetFacet(DatasetFacet):
        objects: int
        bytes: int

    return RemovedDatasetFacet


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
