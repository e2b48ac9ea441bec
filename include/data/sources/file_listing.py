"""Find the files of a source, on disk or in S3, and open them."""

from __future__ import annotations

import contextlib
import glob
import itertools
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

from include.config.sections.rows.sources import FilesSource
from include.config.settings import Settings
from include.data.sources.connections import Connections
from include.data.sources.dated_paths import dated_paths
from include.data.sources.file_patterns import BELOW, is_wild, meant_names
from include.data.sources.s3_objects import find_objects
from include.errors import SourceError

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
                "(`**` does not), hidden files and markers are ignored, and a `[` in a name is written `[[]`",
            )
        yield from found
        return
    for pattern, start, end in dated_paths(source.path, slots, ZoneInfo(timezone)):
        for file in look_up(pattern):
            yield File(file.name, file.open, file.local, start, end)


def file_finder(path: str, folder: Path, s3: Callable[[], Any]) -> Callable[[str], Iterator[File]]:
    """Return what finds the files of a pattern below the place that ``path`` begins with; ``s3`` opens the client of a bucket."""
    if not path.startswith("s3://"):
        return _on_disk(path, folder)
    client = s3()
    return lambda pattern: itertools.starmap(File, find_objects(client, pattern))


def _on_disk(path: str, folder: Path) -> Callable[[str], Iterator[File]]:
    declared = Path(path).parts
    fixed = tuple(itertools.takewhile(lambda part: not _MAGIC.search(part), declared))
    # The part before the first wildcard is trusted, since the operator wrote it; files found below it must be inside.
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
        for name in meant_names(found, pattern, base):
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
            remedy="copy the files into the model's folder, or let the operator of this deployment permit their folder: "
            f"RATCHET_SOURCE_FOLDERS={place}",
        )


def _on_this_disk(path: Path, root: Path) -> File:
    if not path.resolve().is_relative_to(root.resolve()):
        raise SourceError(
            "A file of the source is a link to a place outside of its folder.",
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
