"""Deliver the published scores of an interval where a model declares it, and name scores whose version is superseded."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pyarrow as pa

from include.config.model import ModelConfig
from include.config.sections.score import Delivery, DeltaDelivery, TableDelivery
from include.data.sources.connections import Connections
from include.data.sources.lake.delta import storage_options
from include.data.sources.lake.s3_access import S3Access
from include.data.windows import Window
from include.errors import DataError, ObjectMissing
from include.registry.ledger import Ledger
from include.scoring.delivered_delta import DeliveredDelta
from include.scoring.delivered_files import DeliveredFiles
from include.scoring.delivered_table import DeliveredTable
from include.scoring.delivery_log import DeliveryLog, Superseded, superseded
from include.scoring.publication import Manifest, Publication, name_of
from include.scoring.scores import key_names
from include.storage.content import get_content
from include.storage.opening import open_store
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """What a delivery did.

    Attributes
    ----------
    rows : int
        How many rows were written or deleted; 0 if the interval was as it should be.
    superseded : tuple of Superseded
        Of all intervals at the place.
    """

    manifest: Manifest
    rows: int
    superseded: tuple[Superseded, ...]


def deliver(
    store: ObjectStore,
    model: ModelConfig,
    place: Delivery,
    interval: Window,
    *,
    at: datetime,
    connections: Connections,
) -> Delivered:
    """Deliver what is published for an interval; repeated, nothing changes.

    Parameters
    ----------
    place : Delivery
        One entry of ``score.deliver``.
    at : datetime
        The instant that goes on record.
    connections : Connections
        Opens the database or the bucket.

    Raises
    ------
    DataError
        When nothing is published for the interval, or the place refuses the scores.
    StoreUnavailable
        When it does not answer.
    ObjectMissing, ObjectCorrupt
        When the published scores are not what the manifest names.
    """
    publication = Publication(store, model.name, interval)
    manifests = publication.manifests()
    if not manifests:
        raise DataError(
            "There are no published scores to deliver.",
            where=f"{model.name}, interval {name_of(interval)}",
            remedy="score it first",
        )
    manifest, deliveries = manifests[-1], DeliveryLog(store, model.name)
    if isinstance(place, TableDelivery):
        kept = {one.scores: one for one in manifests}

        def before(digest: str) -> pa.Table | None:
            try:
                return publication.read(kept[digest]) if digest in kept else None
            except ObjectMissing:  # tidied, or rows were erased out of it
                return None

        scores = publication.read(manifest)
        table = DeliveredTable(connections.sql(place.connection), place.table, model.name, key_names(model.data))
        rows = table.deliver(manifest, len(manifests), scores, before, at=at)
        versions_there = table.versions
    elif isinstance(place, DeltaDelivery):
        options = (
            storage_options(S3Access.of(connections.s3(place.connection))) if place.path.startswith("s3://") else None
        )
        lake = DeliveredDelta(place.path, options, model.name, key_names(model.data))
        rows = lake.deliver(manifest, len(manifests), publication.read(manifest))
        versions_there = partial(deliveries.versions_at, place)  # there each row has the version of its segment
    else:
        body = get_content(store, publication.folder, ".parquet", manifest.scores)
        opened = open_store(place.path, s3_client=lambda: connections.s3(place.connection))
        files = DeliveredFiles(opened, model.name)
        rows = files.deliver(manifest, len(manifests), body)
        # Scores are the same bytes again if the rows that were erased are still in the source.
        files.remove(interval, deliveries.erased() - {manifest.scores}, opened.delete)
        versions_there = files.versions
    deliveries.keep(place, manifest, len(manifests), at=at)
    found = superseded(Ledger(store, model.name).timeline(), versions_there())
    for one in found:
        log.warning(
            "%s: the scores of %s are by %s; the champion as of then is %s",
            *(model.name, name_of(one.interval), one.version, one.champion or "nobody"),
        )
    return Delivered(manifest, rows, tuple(found))
