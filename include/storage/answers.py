"""Cached results of long computations, each stored under the digest of its inputs.

A question names everything that its answer depends on, and its digest is the key. The digest of an answer can't be known by
the caller, so it is kept beside it: an answer that was changed, or put in the place of another, is refused. Nothing is ever
found here only: an answer that is gone is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from include.errors import ObjectCorrupt, ObjectMissing
from include.storage.content import digest_json, get_json, put_json_once
from include.storage.store import ObjectStore

_FIELDS = {"question", "answer", "digest"}


def find_answer(store: ObjectStore, folder: str, question: Any) -> Any | None:
    """Return the answer on record, or None; raises `ObjectCorrupt`."""
    key = _key(folder, question)
    try:
        sealed = get_json(store, key)
    except ObjectMissing:
        return None
    return _opened(store, key, sealed)


def keep_answer(store: ObjectStore, folder: str, question: Any, answer: Any) -> Any:
    """Store an answer, and return the stored one: the first of several answers to one question.

    Parameters
    ----------
    folder : str
        Folder of the store for answers of this kind.
    question, answer : Any
        Values that JSON can hold.
    """
    sealed = {"question": question, "answer": answer, "digest": digest_json([question, answer])}
    key = _key(folder, question)
    return _opened(store, key, put_json_once(store, key, sealed))


def check_answers(store: ObjectStore, folder: str) -> Iterator[tuple[str, ObjectCorrupt | None]]:
    """Yield the key of every answer in a folder, with what is wrong with it; those of release 0.1, which are no longer used, are skipped."""
    for key in store.list(f"{folder}/"):
        try:
            value = get_json(store, key)
            if isinstance(value, dict) and not value.keys() & {"question", "answer"}:
                continue
            _opened(store, key, value)
        except ObjectCorrupt as error:
            yield key, error
        else:
            yield key, None


def _key(folder: str, question: Any) -> str:
    # Not the digest of the question alone, under which release 0.1 kept answers that nothing seals.
    return f"{folder}/{digest_json({'question': question})}.json"


def _opened(store: ObjectStore, key: str, sealed: Any) -> Any:
    if isinstance(sealed, dict) and sealed.keys() == _FIELDS:
        named = key == _key(key.rpartition("/")[0], sealed["question"])
        if named and sealed["digest"] == digest_json([sealed["question"], sealed["answer"]]):
            return sealed["answer"]
    raise ObjectCorrupt(
        "a cached answer was changed",
        expected="a question, its answer, and the digest of both",
        where=f"{store.url}: {key}",
        remedy="find out who changed it, and remove the object: it is asked for again",
    )
