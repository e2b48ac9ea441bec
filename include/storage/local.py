"""Objects as files in a folder, on one machine or on a file system that several machines share."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from include.errors import ObjectMissing, StoreError, StoreUnavailable
from include.storage.store import StoredObject, check_key, check_prefix, is_key

# Bodies are written here first. The name is no key, so nothing in it can be read or listed as an object.
_WRITING = "~writing"
_ABANDONED_AFTER = 24 * 3600.0  # seconds

_PERMANENT = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENOTDIR, errno.EISDIR, errno.EEXIST),  # a key that is the folder of another
    *(errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS),  # no hard links here
}


class LocalStore:
    """A `PrunableStore` in a folder.

    A body is written to a file of its own, synced, and then linked under its key: link(2) is atomic and refuses a name that
    is taken, on local file systems and on NFS. A process killed at any point leaves at most a file that is no object, which
    a later write removes. Files can be read by their owner alone, and by the group of a folder that it may write to. Symbolic links below the folder are refused: they could lead out of it.

    Parameters
    ----------
    root : Path
        The folder; made by the first write.
    """

    parallel = 1

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.url = self.root.as_uri()
        self._checked: set[str] = set()  # folders without a symbolic link on the way

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        """Write ``body`` under ``key`` unless something is there already; see `ObjectStore.put_if_absent`."""
        path = Path(self._path(key))
        source: BinaryIO = io.BytesIO(body) if isinstance(body, bytes) else body.open("rb")
        with source, self._answering(key):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            won = not path.exists() and self._link(source, path)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "the key is the folder of other keys", str(path))
            # Also when the key was taken: its writer may not have come this far yet.
            for folder in (path.parent, *path.parent.parents):
                _sync(folder)
                if folder == self.root:
                    break
            return won

    def get(self, key: str) -> bytes:
        """Return the whole object; raises `ObjectMissing`."""
        path = self._path(key)
        with self._answering(key):
            try:
                with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - half the time of Path.read_bytes, for logs
                    body = file.read()
                    if len(body) != os.fstat(file.fileno()).st_size:  # a mount that fails may end a file early
                        raise OSError(errno.EIO, "the file was not read to its end")
                    return body
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                raise ObjectMissing("no such object", found=key, where=self.url) from None

    def exists(self, key: str) -> bool:
        """Tell whether ``key`` holds an object."""
        path = self._path(key)
        with self._answering(key):
            try:
                return stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - of a disk that fails `isfile` says that nothing is there
            except (FileNotFoundError, NotADirectoryError):
                return False

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        """Yield the keys that start with ``prefix``, ascending, those greater than ``after`` if it is given."""
        check_prefix(prefix)
        return self._walk(prefix[: prefix.rfind("/") + 1], prefix, after or "")

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        """Yield what `list` yields, with size and age; what is removed meanwhile is left out."""
        for key in self.list(prefix):
            with self._answering(key):
                try:
                    found = os.stat(self._path(key))  # noqa: PTH116
                except FileNotFoundError:
                    continue
            yield StoredObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))

    def delete(self, key: str) -> bool:
        """Remove an object for good; see `PrunableStore.delete`. Its folder stays: a writer may be about to use it."""
        path = Path(self._path(key))
        with self._answering(key):
            if path.parent.is_dir():
                path.unlink(missing_ok=True)
                _sync(path.parent)
        return True

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[str]:
        place = f"{self.root}/{folder}".rstrip("/")
        self._check_folder(place)
        with self._answering(folder):
            try:
                with os.scandir(place) as found:
                    # With its slash a folder sorts as its keys do: `a-b/x` < `a/x`.
                    names = [
                        f"{folder}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}"
                        for entry in found
                        if not entry.is_symlink()
                    ]
            except (FileNotFoundError, NotADirectoryError):
                return
        for name in sorted(names):
            if not name.startswith(prefix) or not is_key(name.removesuffix("/")):
                continue
            if name.endswith("/"):
                if name > after or after.startswith(name):
                    yield from self._walk(name, prefix, after)
            elif name > after:
                yield name

    def _path(self, key: str) -> str:
        check_key(key)
        path = f"{self.root}/{key}"
        self._check_folder(path[: path.rindex("/")])
        if os.path.islink(path):  # noqa: PTH114 - a Path costs more than all else here
            raise self._refused_link(path)
        return path

    def _check_folder(self, folder: str) -> None:
        # Remembered, because a log asks for the same folder thousands of times.
        if folder not in self._checked:
            if os.path.realpath(folder) != folder:
                raise self._refused_link(folder)
            if os.path.isdir(folder):  # noqa: PTH112
                self._checked.add(folder)

    def _refused_link(self, path: str) -> StoreError:
        return StoreError(
            "a symbolic link inside the store was refused",
            found=path,
            where=self.url,
            remedy="replace the link by what it points to, or open the store at the place that it points to",
        )

    def _link(self, source: BinaryIO, path: Path) -> bool:
        writing = self.root / _WRITING
        writing.mkdir(exist_ok=True)
        part = writing / secrets.token_hex(16)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, self._mode()), "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
            _remove_abandoned(writing, before=part.stat().st_mtime - _ABANDONED_AFTER)
            os.link(part, path)
        except FileExistsError:
            return False
        finally:
            part.unlink(missing_ok=True)
        return True

    def _mode(self) -> int:
        """Return who may read a new file: its owner alone, and the group where it may write to the store's folder."""
        shared = self.root.stat().st_mode & 0o020
        return 0o660 if shared else 0o600

    @contextlib.contextmanager
    def _answering(self, key: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _PERMANENT:
                raise StoreError(
                    "the store's folder can't be used like this",
                    expected="a file system with hard links, writable for this user, where no key is the folder of another",
                    found=error.strerror,
                    where=f"{self.url}: {key}",
                ) from error
            raise StoreUnavailable(
                "the store's folder did not answer",
                found=error,
                where=f"{self.url}: {key}",
                remedy="look at the disk or mount and its free space, then try again",
            ) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove_abandoned(writing: Path, *, before: float) -> None:
    """Remove what killed writers left; a body still being written is younger than ``before``."""
    for part in writing.iterdir():
        with contextlib.suppress(FileNotFoundError):
            if part.stat().st_mtime < before:
                part.unlink()
