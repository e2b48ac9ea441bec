"""A store that dies on demand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeVar, cast

from include.errors import ObjectMissing
from include.storage.store import ObjectStore, PrunableStore, StoredObject

T = TypeVar("T")


class Killed(BaseException):
    """Stands for kill -9: nothing that handles errors may handle it."""


class FaultyStore:
    """Pass calls on to ``store`` and die at call number ``fail_at`` (from 1), before or after it took effect.

    Once dead every further call dies too and has no effect, as nothing that a killed process would still want to do happens.
    Without ``fail_at`` it only counts ``calls``, which tells a test how many places there are to die at::

        counted = FaultyStore(store_of(tmp_path / "counted"))
        run(counted)
        for n in range(1, counted.calls + 1):
            with pytest.raises(Killed):
                run(FaultyStore(store, fail_at=n, mode="after"))
            run(store)  # repeated: as if nothing had happened
    """

    parallel = 1  # so that call number n is the same one in every run

    def __init__(
        self, store: ObjectStore, *, fail_at: int | None = None, mode: Literal["before", "after"] = "before"
    ) -> None:
        self.store = store
        self.url = store.url
        self.fail_at = fail_at
        self.mode = mode
        self.calls = 0
        self.dead = False

    def put_if_absent(self, key: str, body: bytes | Path) -> bool:
        self._before(f"put_if_absent {key}")
        return self._after(self.store.put_if_absent(key, body))

    def get(self, key: str) -> bytes:
        self._before(f"get {key}")
        try:
            body = self.store.get(key)
        except ObjectMissing:
            self._after(None)  # that nothing is there is an answer, too
            raise
        return self._after(body)

    def exists(self, key: str) -> bool:
        self._before(f"exists {key}")
        return self._after(self.store.exists(key))

    def list(self, prefix: str, *, after: str | None = None) -> Iterator[str]:
        self._before(f"list {prefix}")
        return self._after(iter([*self.store.list(prefix, after=after)]))

    def inventory(self, prefix: str) -> Iterator[StoredObject]:
        self._before(f"inventory {prefix}")
        return self._after(iter([*cast(PrunableStore, self.store).inventory(prefix)]))

    def delete(self, key: str) -> bool:
        self._before(f"delete {key}")
        return self._after(cast(PrunableStore, self.store).delete(key))

    def _before(self, call: str) -> None:
        if self.dead:
            raise Killed(f"already dead: {call}")
        self.calls += 1
        if self.calls == self.fail_at:
            self.dead = self.mode == "before"
            if self.dead:
                raise Killed(f"before call {self.calls}: {call}")

    def _after(self, answer: T) -> T:
        if self.calls == self.fail_at:
            self.dead = True
            raise Killed(f"after call {self.calls}")
        return answer
