"""Faults of a store where they happen: in the file system under a folder, and in the server that speaks S3."""

from __future__ import annotations

import contextlib
import errno
import io
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar
from unittest.mock import patch

from include.errors import ObjectMissing
from include.storage import local
from include.storage.local import LocalStore
from include.storage.store import PrunableStore, StoredObject

T = TypeVar("T")

Fault = Literal["before", "after", "lost", "slow", "truncated"]
FAULTS: dict[str, tuple[Fault, ...]] = {
    "put": ("before", "after", "lost", "slow"),
    "get": ("before", "after", "lost", "slow", "truncated"),
    "other": ("before", "after", "lost", "slow"),
}
"""What can happen to a call: it never arrives; it takes effect and fails; it takes effect, its answer is lost and it is made again;
its answer takes long, and of a write half of the time longer than the caller waits; what is read ends in the middle."""
SLOW = 0.02
"""Seconds that a slow answer takes."""


class Disk:
    """Breaks what `LocalStore` asks of the file system."""

    def call(self, store: LocalStore, kind: str, fault: Fault, key: str, call: Callable[[], T]) -> T:
        """Make a call during which a fault happens."""
        with store._answering(key):
            if fault == "before":
                if kind == "put":  # a full disk: the file is begun
                    with patch.object(local.shutil, "copyfileobj", _half_copied):
                        return call()
                raise OSError(errno.EIO, "injected")
            if fault == "truncated":
                with patch.object(local, "open", HalfRead, create=True):
                    return call()
            answer = call()
            if fault == "slow":
                time.sleep(SLOW)
            elif fault == "lost" and kind == "put":
                return False  # type: ignore[return-value] # as link(2) on NFS: made again, it finds its own name
            elif fault in ("after", "lost"):
                raise OSError(errno.EIO if fault == "after" else errno.ETIMEDOUT, "injected")
            return answer


def _half_copied(source: Any, target: Any, length: int) -> None:
    body = source.read()
    target.write(body[: len(body) // 2])
    raise OSError(errno.ENOSPC, "injected")


class HalfRead(io.FileIO):
    """A file whose end comes in the middle, as on a mount that fails."""

    def __init__(self, path: str, mode: str, buffering: int) -> None:
        super().__init__(path, mode)

    def read(self, size: int | None = -1) -> bytes:  # type: ignore[override]
        body = super().read()
        return body[: len(body) // 2]


class Gateway:
    """Stands before the application of moto's server, in its own process, and breaks the next request."""

    def __init__(self, app: Any) -> None:
        self._app, self._fault, self._late = app, "", threading.Lock()
        self._threads: list[threading.Thread] = []

    def call(self, store: Any, kind: str, fault: Fault, key: str, call: Callable[[], T]) -> T:
        """Make a call during which a fault happens."""
        self._fault = f"late {fault}" if fault == "slow" and kind == "put" and random.random() < 0.5 else fault
        try:
            return call()
        finally:
            self._fault = ""
            for thread in self._threads:
                thread.join()
            self._threads.clear()

    def __call__(self, environ: dict[str, Any], start: Any) -> Any:
        """Answer a request."""
        fault, self._fault = self._fault, ""
        if not fault:
            return self._app(environ, start)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))

        def serve(start: Any = lambda status, headers, error=None: None) -> list[bytes]:
            return list(self._app({**environ, "wsgi.input": io.BytesIO(body)}, start))

        if fault == "before":
            return _unavailable(start)
        if fault == "after":
            serve()
            return _unavailable(start)
        if fault == "lost":
            serve()
            if environ["REQUEST_METHOD"] == "PUT":
                return serve(start)  # what the client sees that asks again
            return self._cut(environ)
        if fault == "truncated":
            parts = b"".join(serve(start))
            return _Torn(parts[: len(parts) // 2], environ["werkzeug.socket"])
        if fault == "slow":
            time.sleep(SLOW)
            return serve(start)
        # Of a caller that has given up, the write takes effect all the same.
        self._threads.append(threading.Timer(SLOW, serve))
        self._threads[-1].start()
        return self._cut(environ)

    def _cut(self, environ: dict[str, Any]) -> Any:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []


def _unavailable(start: Any) -> list[bytes]:
    start("503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", "0")])
    return []


class _Torn:
    def __init__(self, body: bytes, connection: socket.socket) -> None:
        self._body, self._connection = body, connection

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


class DisturbedStore:
    """Pass calls on to ``store``; at call number ``fail_at`` (from 1) one of its faults happens.

    Attributes
    ----------
    calls : int
    fault : str or None
        What happened, and to which call.
    """

    parallel = 1  # so that call number n is the same one in every run

    def __init__(
        self,
        store: PrunableStore,
        below: Disk | Gateway,
        *,
        fail_at: int | None = None,
        draw: random.Random | None = None,
    ) -> None:
        self.store, self.url, self._below = store, store.url, below
        self._fail_at, self._draw = fail_at, draw or random.Random(0)
        self.calls = 0
        self.fault: Fault | None = None

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        return self._call("put", key, lambda: self.store.put_if_absent(key, body))

    def get(self, key: str) -> bytes:
        return self._call("get", key, lambda: self.store.get(key))

    def exists(self, key: str) -> bool:
        return self._call("other", key, lambda: self.store.exists(key))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        return self._call("other", prefix, lambda: iter([*self.store.list(prefix, after=after)]))

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        return self._call("other", prefix, lambda: iter([*self.store.inventory(prefix)]))

    def delete(self, key: str) -> bool:
        return self._call("other", key, lambda: self.store.delete(key))

    def _call(self, kind: str, key: str, call: Callable[[], T]) -> T:
        self.calls += 1
        if self.calls != self._fail_at:
            return call()
        fault = self._draw.choice(FAULTS[kind])
        if fault == "truncated":
            try:  # what is not there can't be read by halves
                if len(self.store.get(key)) < 2:
                    fault = "before"
            except ObjectMissing:
                fault = "before"
        self.fault = fault
        return self._below.call(self.store, kind, fault, key, call)  # type: ignore[arg-type] # each has its own kind of store
