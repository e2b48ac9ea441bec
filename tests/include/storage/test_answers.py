"""Answers under their question: the first stands, and another one in its place is refused."""

from __future__ import annotations

import json

import pytest

from include.errors import ObjectCorrupt
from include.storage.answers import check_answers, find_answer, keep_answer
from include.storage.content import canonical_json, digest_json
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

QUESTION = {"fit": "a", "rows": [1, 2.5]}


def test_an_answer_is_found_by_its_question_and_the_first_one_stands(store: ObjectStore) -> None:
    assert find_answer(store, "toy/alone", QUESTION) is None
    assert keep_answer(store, "toy/alone", QUESTION, {"is": 1.0}) == {"is": 1}
    assert keep_answer(store, "toy/alone", QUESTION, {"is": 2.0}) == {"is": 1}
    assert find_answer(store, "toy/alone", QUESTION) == {"is": 1}
    assert find_answer(store, "toy/alone", {**QUESTION, "fit": "b"}) is None


@pytest.mark.parametrize("change", ["answer", "question", "place", "unsealed"])
def test_an_answer_that_was_changed_or_put_in_the_place_of_another_is_refused(
    local_store: LocalStore, change: str
) -> None:
    keep_answer(local_store, "toy/alone", QUESTION, 1)
    (key,) = local_store.list("toy/alone/")
    value = json.loads(local_store.get(key))
    if change == "place":  # whole and sealed, but to another question
        keep_answer(local_store, "toy/alone", {"fit": "b"}, 2)
        (other,) = (one for one in local_store.list("toy/alone/") if one != key)
        value = json.loads(local_store.get(other))
    elif change == "unsealed":
        value = {"evidence": "0" * 64}
    else:
        value[change] = "other"
    path = local_store.root / key
    path.chmod(0o644)
    path.write_bytes(canonical_json(value))
    with pytest.raises(ObjectCorrupt, match="a cached answer was changed"):
        find_answer(local_store, "toy/alone", QUESTION)
    with pytest.raises(ObjectCorrupt):
        keep_answer(local_store, "toy/alone", QUESTION, 1)
    checked = dict(check_answers(local_store, "toy/alone"))
    assert (checked.get(key) is None) is (change == "unsealed")


def test_what_release_0_1_kept_is_neither_found_nor_called_wrong(local_store: LocalStore) -> None:
    local_store.put_if_absent(f"toy/alone/{digest_json(QUESTION)}.json", b'{"evidence":"x"}')
    assert find_answer(local_store, "toy/alone", QUESTION) is None
    assert list(check_answers(local_store, "toy/alone")) == []
