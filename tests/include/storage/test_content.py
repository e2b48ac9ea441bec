"""Values and bytes under names that nobody can dispute."""

from __future__ import annotations

import hashlib
from dataclasses import FrozenInstanceError, dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.errors import ObjectCorrupt, ObjectMissing, StoreError
from include.storage.content import (
    build,
    canonical_json,
    digest_json,
    from_iso,
    get_content,
    get_json,
    put_content,
    put_json,
    put_json_once,
    read_json,
    to_iso,
)
from include.storage.local import LocalStore
from include.storage.store import ObjectStore


def test_equal_values_have_equal_bytes() -> None:
    assert (
        canonical_json({"b": (1, 2.0), "a": "é"})
        == canonical_json({"a": "é", "b": [1.0, 2]})
        == '{"a":"é","b":[1,2]}'.encode()
    )
    assert digest_json({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53 + 1, {1: "a"}, {"a"}, b"a"])
def test_what_json_can_not_hold_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical_json(value)


def test_a_value_put_again_changes_nothing_and_another_is_refused(store: ObjectStore) -> None:
    put_json(store, "model/a.json", {"a": 1, "b": 2})
    put_json(store, "model/a.json", {"b": 2.0, "a": 1})
    with pytest.raises(StoreError, match="taken by another value"):
        put_json(store, "model/a.json", {"a": 2})
    assert get_json(store, "model/a.json") == {"a": 1, "b": 2}


def test_the_first_value_settles_a_key(store: ObjectStore) -> None:
    assert put_json_once(store, "model/a.json", {"first": (1,)}) == {"first": [1]}
    assert put_json_once(store, "model/a.json", {"second": 2}) == {"first": [1]}


def test_json_that_is_none_or_missing_is_said(local_store: LocalStore) -> None:
    local_store.put_if_absent("model/a.json", b'{"a":')
    with pytest.raises(ObjectCorrupt, match="not JSON"):
        get_json(local_store, "model/a.json")
    with pytest.raises(ObjectMissing):
        get_json(local_store, "model/b.json")


def test_content_is_named_by_its_digest_from_bytes_and_from_a_file(store: ObjectStore, tmp_path: Path) -> None:
    body = b"0123456789" * 100_000
    (tmp_path / "file").write_bytes(body)
    name = put_content(store, "model/models", ".skops", body)
    assert name == hashlib.sha256(body).hexdigest() == put_content(store, "model/models", ".skops", tmp_path / "file")
    assert list(store.list("")) == [f"model/models/{name}.skops"]
    assert get_content(store, "model/models", ".skops", name) == body


@pytest.mark.parametrize("place", [0, 500, 999])
def test_content_with_a_flipped_bit_is_refused(local_store: LocalStore, place: int) -> None:
    name = put_content(local_store, "model/models", ".skops", bytes(1000))
    path = local_store.root / f"model/models/{name}.skops"
    path.write_bytes(bytes(place) + b"\1" + bytes(999 - place))
    with pytest.raises(ObjectCorrupt, match=name):
        get_content(local_store, "model/models", ".skops", name)


@given(st.datetimes(timezones=st.builds(timezone, st.builds(timedelta, minutes=st.integers(-1439, 1439)))))
def test_an_instant_survives_as_text(instant: datetime) -> None:
    if not datetime(2, 1, 1, tzinfo=UTC) < instant < datetime(9998, 1, 1, tzinfo=UTC):
        return
    assert from_iso(to_iso(instant)) == instant
    assert from_iso(to_iso(instant)).tzinfo is UTC


def test_an_instant_is_written_in_utc() -> None:
    assert to_iso(datetime(2013, 7, 1, 2, tzinfo=timezone(timedelta(hours=2)))) == "2013-07-01T00:00:00Z"


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_iso(datetime(2013, 7, 1))
    with pytest.raises(ValueError, match="time zone"):
        from_iso("2013-07-01T00:00:00")


def test_a_great_number_is_read_back_as_the_float_that_it_was() -> None:
    value = {"mse": 2.268243416812117e16, "rows": 2**53 - 1}
    assert read_json(canonical_json(value)) == value
    assert canonical_json(read_json(canonical_json(value))) == canonical_json(value)


@dataclass(frozen=True)
class Stone:
    name: str
    weight: float
    colour: str = "grey"


def test_what_is_built_is_what_its_class_makes() -> None:
    built = build(Stone, {"weight": 2.0, "name": "flint"})
    assert built == Stone("flint", 2.0)
    assert build(Stone, {"name": "flint", "weight": 2.0, "colour": "red"}) == Stone("flint", 2.0, "red")
    assert hash(built) == hash(Stone("flint", 2.0))
    with pytest.raises(FrozenInstanceError):
        built.name = "chalk"  # type: ignore[misc]


@pytest.mark.parametrize(
    "values", [{"name": "flint"}, {"name": "flint", "weight": 1.0, "age": 3}, {"weight": 1.0, "age": 3}]
)
def test_nothing_is_built_of_other_fields(values: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="Stone has other fields"):
        build(Stone, values)


def test_what_is_built_shares_nothing_with_what_it_is_built_of() -> None:
    values = {"name": "flint", "weight": 2.0}
    built = build(Stone, values)
    values["name"] = "chalk"
    assert (built.name, Stone("a", 1.0).colour) == ("flint", "grey")
