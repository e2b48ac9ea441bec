"""Find the files of a source, on disk or in S3, and open them."""

from __future__ import annotations

import contextlib
import glob
import io
import itertools
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from botocore.exceptions import BotoCoreError, ClientError

from include.config.sections.rows.sources import FilesSource
from include.config.settings import Settings
from include.data.sources.connections import Connections
from include.data.sources.dated_paths import dated_paths
from include.data.sources.file_patterns import BELOW, fixed_part, is_wild, matches
from include.data.sources.s3_body import S3Body
from include.errors import SourceError, StoreUnavailable

log = logging.getLogger(__name__)

_MAGIC = re.compile(r"[*?\[]|%[YmdH]")


@dataclass(frozen=True)
class File:
    """One file of a source.

    Attributes
    ----------
    name : str
        Its path or address, for messages.
    open : callable
        Opens it for one pass from its beginning.
    local : Path or None
        Where it is, if on this machine's disk.
    start, end : datetime or None
        The event times that its name promises, if the source's path has date parts.
    """

    name: str
    open: Callable[[], BinaryIO]
    local: Path | None = None
    start: datetime | None = None
    end: datetime | None = None

    @contextlib.contextmanager
    def on_disk(self) -> Iterator[Path]:
        """Give a path for random access, if need be to a copy that is removed afterwards."""
        if self.local is not None:
            yield self.local
            return
        with tempfile.TemporaryDirectory(prefix="ratchet-source-") as folder:
            path = Path(folder) / "file"
            with self.open() as body, path.open("wb") as copy:
                shutil.copyfileobj(body, copy, 2**20)
            yield path


def find_files(
    source: FilesSource, slots: Sequence[str], timezone: str, folder: Path, connections: Connections
) -> Iterator[File]:
    """Yield the files that may hold rows of ``slots``, by name.

    A path with date parts (`%Y` and so on, in the source's time zone) is looked up for the dates that the slots touch; a
    date without a file is a gap of the data and no error. Any other path is looked up once, and finding nothing is an error.

    Parameters
    ----------
    source : FilesSource
        The declared source; its path is a pattern.
    slots : sequence of str
        Slots of event time whose rows are wanted.
    timezone : str
        IANA name of the time zone of the path's date parts.
    folder : Path
        The folder that a relative path starts at.
    connections : Connections
        Opens the S3 client.

    Raises
    ------
    SourceError
        When nothing is found, or a link leads out of the folder that the path names.
    StoreUnavailable
        When S3 does not answer.
    """
    look_up = file_finder(source.path, folder, lambda: connections.s3(source.connection))
    if "%" not in source.path:
        found = list(look_up(source.path))
        if not found:
            raise SourceError(
                "No file of the source was found.",
                expected=source.path,
                where=str(folder) if not source.path.startswith("s3://") else None,
                remedy="correct `data.source.path`; a relative path starts at the model's folder, `*` stays within one folder "
                "(`**` does not), hidden files and markers are passed over, and a `[` of a name is written `[[]`",
            )
        yield from found
        return
    for pattern, start, end in dated_paths(source.path, slots, ZoneInfo(timezone)):
        for file in look_up(pattern):
            yield File(file.name, file.open, file.local, start, end)


def file_finder(path: str, folder: Path, s3: Callable[[], Any]) -> Callable[[str], Iterator[File]]:
    """Return what finds the files of a pattern below the place that ``path`` begins with; ``s3`` opens the client of a bucket."""
    return _in_s3(s3()) if path.startswith("s3://") else _on_disk(path, folder)


def _on_disk(path: str, folder: Path) -> Callable[[str], Iterator[File]]:
    declared = Path(path).parts
    fixed = tuple(itertools.takewhile(lambda part: not _MAGIC.search(part), declared))
    # What stands before the first wildcard is the operator's word; what is found behind it must lie inside.
    root = folder.joinpath(*fixed)
    if fixed == declared and not root.is_dir():
        root = root.parent
    check_permitted(path, root, folder)

    def look_up(path: str) -> Iterator[File]:
        parts = Path(path).parts
        named = tuple(itertools.takewhile(lambda part: not is_wild(part), parts))
        base, pattern = folder.joinpath(*named), "/".join(parts[len(named) :])
        if not pattern:
            if base.is_file():
                yield _on_this_disk(base, root)
                return
            pattern = BELOW
        names = glob.glob(pattern, root_dir=base, recursive=True, include_hidden=True)  # noqa: PTH207 (Path.glob knows no hidden files)
        found = sorted(name for name in set(names) if (base / name).is_file())
        seen: dict[Path, Path] = {}
        for name in _meant(found, pattern, base):
            file = _on_this_disk(base / name, root)
            if (other := seen.setdefault((base / name).resolve(), base / name)) != base / name:
                raise SourceError(
                    "A file of the source has two names.",
                    expected="every row once",
                    found=f"{other} is the same file",
                    where=file.name,
                    remedy="remove the link, or write a path that means one of them",
                )
            yield file

    return look_up


def check_permitted(declared: str, root: Path, folder: Path) -> None:
    """Hold a source to its model's folder: who writes a model.yaml may not have every file that a worker can read."""
    permitted = Settings.from_environment().source_folders
    place = root.resolve()
    if not any(place.is_relative_to(one.resolve()) for one in (folder, *permitted)):
        raise SourceError(
            "The source's path leads out of the model's folder.",
            expected=f"a path below {folder}" + "".join(f", or below {one}" for one in permitted),
            found=declared,
            where="data.source.path",
            remedy="copy the files into the model's folder; or who runs this deployment permits their folder: "
            f"RATCHET_SOURCE_FOLDERS={place}",
        )


def _on_this_disk(path: Path, root: Path) -> File:
    if not path.resolve().is_relative_to(root.resolve()):
        raise SourceError(
            "A file of the source is a link that leads elsewhere.",
            expected=f"a file below {root}",
            found=f"a link to {path.resolve()}",
            where=path,
            remedy="name the real place in `data.source.path`, or copy the file",
        )
    return File(str(path), lambda: open_on_disk(path), local=path)


def open_on_disk(path: Path) -> BinaryIO:
    """Open a file on this machine's disk; raises `SourceError` where that is not allowed, or it is gone."""
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(
            "A file of the source can't be opened.",
            expected="a file that this user may read",
            found=error.strerror,
            where=path,
        ) from error


def _meant(names: Sequence[str], pattern: str, where: object) -> list[str]:
    """Return the names that the pattern means, and say in the log which hidden ones it would mean otherwise."""
    meant = [name for name in names if matches(pattern, name)]
    known = set(meant)
    if hidden := [name for name in names if name not in known and matches(pattern, name, hidden=True)]:
        if any("_delta_log/" in name for name in hidden):
            raise SourceError(
                "The folder is a Delta Lake table: its files hold rows that the table no longer has.",
                expected="a folder of files",
                where=where,
                remedy="say `kind: delta`; or, where nothing was ever changed in it, name the files, such as `path: orders/*.parquet`",
            )
        log.info(
            "%s: %d hidden files or markers were passed over, such as %s (their names begin with . or _)",
            *(where, len(hidden), hidden[0]),
        )
    return meant


def _in_s3(client: Any) -> Callable[[str], Iterator[File]]:
    def look_up(path: str) -> Iterator[File]:
        bucket, _, name = path.removeprefix("s3://").partition("/")
        with _answering(path):
            if not is_wild(name) and not name.endswith("/"):
                # The key itself comes before all that it begins.
                first = client.list_objects_v2(Bucket=bucket, Prefix=name, MaxKeys=1).get("Contents", ())
                if name and [item["Key"] for item in first] == [name]:
                    yield File(path, lambda: _open(client, bucket, first[0]["Key"]))
                    return
            name = name.rstrip("/")
            pattern = name if is_wild(name) else "/".join(filter(None, [name, BELOW]))
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=fixed_part(pattern))
            keys = sorted(item["Key"] for page in pages for item in page.get("Contents", ()))
        # An empty object whose key ends in `/` is how some tools draw a folder.
        for key in _meant([key for key in keys if not key.endswith("/")], pattern, f"s3://{bucket}"):
            yield File(f"s3://{bucket}/{key}", lambda key=key: _open(client, bucket, key))  # type: ignore[misc] # mypy can't type the default

    return look_up


def _open(client: Any, bucket: str, key: str) -> BinaryIO:
    with _answering(f"s3://{bucket}/{key}"):
        answer = client.get_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return io.BufferedReader(S3Body(answer, f"s3://{bucket}/{key}"), 2**20)


@contextlib.contextmanager
def _answering(where: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = StoreUnavailable if status >= 500 or status == 429 else SourceError
        raise kind(
            "S3 refused to give the source's files.",
            found=error,
            where=where,
            remedy="look at the bucket's name, and at what `data.source.connection` may do",
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailable("S3 did not answer.", found=error, where=where, remedy="try again later") from error
