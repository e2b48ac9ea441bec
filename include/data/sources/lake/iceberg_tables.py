"""Iceberg tables by their name in a catalog or by their place, and the files that they may name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from include.config.sections.rows.lake import IcebergSource
from include.config.settings import Settings
from include.data.sources.connections import Connections
from include.data.sources.file_listing import check_permitted
from include.data.sources.lake.libraries import library
from include.data.sources.lake.s3_access import S3Access
from include.data.sources.protocol import ReadRequest
from include.errors import ConfigError, SourceError

_VERSION = re.compile(r"v?(\d+)[^/]*\.metadata\.json$")


@dataclass(frozen=True)
class IcebergTable:
    """A table that is open.

    Attributes
    ----------
    metadata, io : object
        Pyiceberg's description of the table, and what opens its files.
    remote : bool
        Whether it lies in S3, or wherever a catalog says, and none of its files may be one of this machine.
    folders : tuple of Path
        Where else its files may lie.
    """

    metadata: Any
    io: Any
    remote: bool
    folders: tuple[Path, ...]

    def snapshot(self, wanted: int | None, where: str) -> Any:
        """Return a snapshot by its id, or the current one; None for a table without any. Raises `SourceError`."""
        if wanted is None:
            return self.metadata.current_snapshot()
        found = self.metadata.snapshot_by_id(wanted)
        if found is None:
            raise SourceError(
                "The table has no such snapshot.",
                expected=", ".join(str(one.snapshot_id) for one in self.metadata.snapshots[-5:])
                or "a table with snapshots",
                found=wanted,
                where=where,
                remedy="correct `data.source.snapshot`; an expired snapshot can't be read any more",
            )
        return found

    def check_places(self, snapshot: Any, where: str) -> None:
        """Hold the files that list a snapshot's files to where sources may read; raises `SourceError`."""
        self._check(snapshot.manifest_list, where)
        for manifest in snapshot.manifests(self.io):
            self._check(manifest.manifest_path, where)

    def check_files(self, task: Any, where: str) -> None:
        """Hold a file of rows, and those that delete some of them, to where sources may read; raises `SourceError`."""
        for file in (task.file, *task.delete_files):
            self._check(file.file_path, where)

    def _check(self, place: str, where: str) -> None:
        scheme = urlsplit(place).scheme
        if scheme not in ("", "file"):
            if not self.remote:
                raise SourceError(
                    "The table names a file in another storage.",
                    expected="files on the disk that the table is on",
                    found=f"{scheme}://",
                    where=where,
                    remedy="write the table again in the storage of its metadata, or name it in a catalog",
                )
            return
        path = _local(place).resolve()
        if not any(path.is_relative_to(folder) for folder in self.folders):
            raise SourceError(
                "The table names a file outside of its folders.",
                expected="files below the table's folder, the catalog's warehouse, or a folder of RATCHET_SOURCE_FOLDERS",
                found=path.name,
                where=where,
                remedy="write the table again in its present folder: a table that was moved still names the old folder",
            )


def open_table(request: ReadRequest[IcebergSource], where: str) -> IcebergTable:
    """Return the table that a source names.

    Parameters
    ----------
    request : ReadRequest
    where : str
        Names the table in messages.

    Raises
    ------
    ConfigError
        When the catalog is not configured.
    SourceError
        When nothing is at the place.
    """
    source = request.source
    properties = _access(source, request.connections)
    permitted = tuple(one.resolve() for one in (request.folder, *Settings.from_environment().source_folders))
    if source.path is None:
        return _of_catalog(source, properties, permitted)
    return _at(source.path, request, properties, permitted, where)


def location_in_catalog(source: IcebergSource, connections: Connections) -> str:
    """Return the address of the folder of a table that is named in a catalog.

    Parameters
    ----------
    source : IcebergSource
        With `catalog` and `table`.
    connections : Connections

    Raises
    ------
    ConfigError
        When the catalog is not configured.
    """
    location = str(_of_catalog(source, _access(source, connections), ()).metadata.location)
    return location if "://" in location else _local(location).absolute().as_uri()


def _access(source: IcebergSource, connections: Connections) -> dict[str, str]:
    if source.connection is None and not (source.path or "").startswith("s3://"):
        return {}
    access = S3Access.of(connections.s3(source.connection))
    given = {
        "s3.endpoint": access.address,
        "s3.access-key-id": access.key,
        "s3.secret-access-key": access.secret,
        "s3.session-token": access.token,
        "s3.region": access.region,
    }
    return {name: value for name, value in given.items() if value}


def _of_catalog(source: IcebergSource, properties: dict[str, str], permitted: tuple[Path, ...]) -> IcebergTable:
    catalogs, config = library("pyiceberg.catalog", "lake"), library("pyiceberg.utils.config", "lake")
    # Asked for now: what the library read as it was imported may be older than the settings.
    settings = config.Config().get_catalog_config(str(source.catalog))
    if not settings:
        raise ConfigError(
            f"The catalog `{source.catalog}` is not configured.",
            expected=f"a variable PYICEBERG_CATALOG__{str(source.catalog).upper()}__URI, or the catalog in .pyiceberg.yaml",
            where="the environment of this process",
            remedy="let the operator of this deployment set it where tasks run, or give the table's `path` instead",
        )
    table = catalogs.load_catalog(source.catalog, **{**settings, **properties}).load_table(source.table)
    warehouse = str(settings.get("warehouse", ""))
    here = bool(warehouse) and urlsplit(warehouse).scheme in ("", "file")
    folders = (*permitted, _local(warehouse).resolve()) if here else permitted
    return IcebergTable(table.metadata, table.io, True, folders)


def _at(
    path: str, request: ReadRequest[Any], properties: dict[str, str], permitted: tuple[Path, ...], where: str
) -> IcebergTable:
    arrow, tables = library("pyiceberg.io.pyarrow", "lake"), library("pyiceberg.serializers", "lake")
    remote = path.startswith("s3://")
    place = path.rstrip("/")
    if not remote:
        check_permitted(path, request.folder / path, request.folder)
        place = str((request.folder / path).resolve())
    # Properties of the metadata are left out: those may name another address to send credentials to, and code to import.
    io = arrow.PyArrowFileIO(properties)
    if not place.endswith(".metadata.json"):
        place = _newest(io, place, where)
    return IcebergTable(tables.FromInputFile.table_metadata(io.new_input(place)), io, remote, permitted)


def _newest(io: Any, folder: str, where: str) -> str:
    """Return the metadata file that a table's folder holds last."""
    fs = library("pyarrow.fs", "lake")
    scheme, bucket, path = io.parse_location(f"{folder}/metadata")
    system = io.fs_by_scheme(scheme, bucket)
    found = [
        (int(known.group(1)), one.base_name)
        for one in system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        if (known := _VERSION.match(one.base_name))
    ]
    if not found:
        raise SourceError(
            "There is no Iceberg table.",
            expected="a folder with `metadata/*.metadata.json`",
            where=where,
            remedy="correct `data.source.path`; a relative path starts at the model's folder",
        )
    last = max(number for number, _ in found)
    names = [name for number, name in found if number == last]
    if len(names) > 1:
        raise SourceError(
            "The folder does not say which metadata is the newest.",
            expected=f"one file of version {last}",
            found=", ".join(sorted(names)),
            where=where,
            remedy="name the metadata file itself in `data.source.path`, or the table in its catalog",
        )
    return f"{folder}/metadata/{names[0]}"


def _local(place: str) -> Path:
    parts = urlsplit(place)
    return Path(unquote(parts.path) if parts.scheme else place)
