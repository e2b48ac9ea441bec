"""Marker files that show that a partition is complete, such as Spark's `_SUCCESS`."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

from include.config.sections.data import Data
from include.data.sources.connections import Connections
from include.data.sources.dated_paths import dated_paths
from include.data.sources.file_listing import file_finder
from include.errors import SourceError


def missing_marker(data: Data, slot: str, folder: Path, connections: Connections) -> str | None:
    """Return the first marker of a partition that is not there, or None where each of its dates has one.

    Parameters
    ----------
    data : Data
        How the source is declared; the date parts of ``wait.file`` are read in its time zone.
    slot : str
        The partition.
    folder : Path
        The model's folder, which a relative path starts at.
    connections : Connections
        Opens the S3 client.

    Raises
    ------
    SourceError
        When the path leads to a place that the model may not read, or S3 refuses to tell.
    StoreUnavailable
        When S3 does not answer.
    """
    pattern, connection = str(data.wait.file), data.wait.connection
    try:
        look_up = file_finder(pattern, folder, lambda: connections.s3(connection))
        # An hour that clocks skip has no length, and no marker.
        dates = dated_paths(pattern, [slot], ZoneInfo(data.timezone))
        names = [name for name, first, after in dates if first < after]
        return next((name for name in names if not any(look_up(name))), None)
    except SourceError as error:
        raise SourceError(
            "The marker that `data.wait` waits for can't be looked for.",
            expected=error.expected or "a place that may be listed",
            found=error.found,
            where=f"data.wait.file: {pattern}",
            remedy="look at the path, and at what `data.wait.connection` may do; on disk it lies in the model's folder, "
            "or in one that RATCHET_SOURCE_FOLDERS permits",
        ) from error
