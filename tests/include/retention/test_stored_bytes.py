"""The bytes by kind are all bytes below a model's name, each kind of object has its rule, and a run counts once."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW
from segmented import april_segments  # noqa: F401 (a fixture)
from signed_world import SignedWorld

from include.config.settings import ROOT
from include.retention.stored_bytes import FOLDERS_OF_KINDS, OTHER, Stored, StoredBytesLog, list_model
from include.retention.tidy import tidy
from include.storage.local import LocalStore
from include.storage.store import PrunableStore
from tests.dag_tasks import FAMILIES, Call, Site, make
from tests.faults import FaultyStore, Killed
from tests.worlds import MemoryStore

KNOWN = {folder for folders in FOLDERS_OF_KINDS.values() for folder in folders} | {"segments"}
LATER = NOW + timedelta(days=3000)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make(tmp_path_factory.mktemp("families"), [family.begins for family in FAMILIES.values()])


def counts_all(store: PrunableStore, model: str = "parcels") -> dict[str, Stored]:
    kinds = list_model(store, model).kinds
    sizes = [len(store.get(key)) for key in store.list(f"{model}/")]
    assert sum(kinds.values(), Stored()) == Stored(len(sizes), sum(sizes)) and sizes
    unknown = {key.split("/")[1] for key in store.list(f"{model}/")} - KNOWN
    assert OTHER not in kinds, f"give these folders a kind in FOLDERS_OF_KINDS: {unknown}"
    return kinds


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda one: one.name)
def test_what_a_dag_family_leaves_has_a_kind_on_both_stores(
    family: Any, site: Site, tmp_path: Path, s3_store: Any
) -> None:
    local, done = LocalStore(tmp_path / "store"), dict[str, Any]()
    if family.begins:
        copied(site.store(family.begins), local)
    for task in family.tasks:
        done[task] = family.do(task, Call(site, local, done, family.at, tmp_path / "outside"))
    copied(local, s3_store)
    assert counts_all(local) == counts_all(s3_store)


def copied(source: PrunableStore, target: Any) -> None:
    for key in source.list(""):
        target.put_if_absent(key, source.get(key))


def test_what_a_model_that_is_signed_has_more_has_a_kind(signed_world: SignedWorld) -> None:
    more = [key for folder in ("statements", "heads") for key in signed_world.store.list(f"parcels/{folder}/")]
    assert counts_all(signed_world.store)["records of versions"].objects > len(more) > 0


def test_the_objects_of_segments_are_counted_with_their_kinds(april_segments: Path) -> None:  # noqa: F811 (a fixture)
    store = LocalStore(april_segments / "store")
    kinds, own = counts_all(store), counts_all(store, "parcels/segments/ant")
    files = [key for key in store.list("parcels/") if "/models/" in key or "/golden/" in key]
    assert kinds["model files"].objects == len(files) > own["model files"].objects > 0


def test_every_folder_that_the_code_names_below_a_model_has_a_kind() -> None:
    named = {
        folder: path.name
        for path in (ROOT / "include").rglob("*.py")
        for folder in re.findall(r'f"\{[a-z_.]*(?:model|name)\}/([a-z_.]+)["/]', path.read_text())
    }
    elsewhere = {"model.yaml": "a declaration", "manifests": "of files that are delivered"}
    assert {folder: named[folder] for folder in named.keys() - KNOWN - elsewhere.keys()} == {}
    assert {"ledger", "scores", "heads"} <= named.keys()


def test_a_folder_without_a_kind_is_counted_as_other() -> None:
    store = MemoryStore()
    store.put_if_absent("m/new/a", b"12345")
    store.put_if_absent("m/segments/x/new/a", b"123")
    store.put_if_absent("m/ledger-checkpoints/a", b"1")
    store.put_if_absent("mm/scores/a", b"of another model")
    assert list_model(store, "m").kinds == {"ledger and logs": Stored(1, 1), OTHER: Stored(2, 8)}


def counting(site: Site) -> tuple[PrunableStore, Callable[..., Any]]:
    store = MemoryStore()
    copied(site.store("full"), store)

    def run(name: str, on: PrunableStore = store, *, remove: bool = True, days: int = 0) -> None:
        tidy(on, site.models["monthly"], at=LATER + timedelta(days=days), remove=remove, run=name)

    return store, run


def test_a_run_counts_once_before_it_removes_and_also_when_it_is_dry(site: Site) -> None:
    store, run = counting(site)
    before = counts_all(store)
    run("dry", remove=False)
    run("dry", remove=False)
    run("marks")
    held = counts_all(store)
    run("removes", days=30)
    run("removes", days=31)
    dry, marks, removes = StoredBytesLog(store, "parcels").read()
    assert [one.run for one in (dry, marks, removes)] == ["dry", "marks", "removes"]
    assert dry.kinds == before and removes.kinds == held and marks.at == LATER
    assert counts_all(store)["model files"].size < removes.kinds["model files"].size
    without = MemoryStore()
    copied(site.store("full"), without)
    tidy(without, site.models["monthly"], at=LATER)
    assert not [*without.list("parcels/stored_bytes/")], "a command that says what would go writes nothing"


def test_a_run_that_is_killed_at_any_call_counts_once(site: Site) -> None:
    whole, run = counting(site)
    counted = FaultyStore(whole)
    run("one", counted)
    for call in range(1, counted.calls + 1):
        store, run = counting(site)
        with pytest.raises(Killed):
            run("one", FaultyStore(store, fail_at=call, mode=("before", "after")[call % 2]))
        run("one")
        run("one", days=1)
        (entry,) = StoredBytesLog(store, "parcels").read()
        assert entry.kinds == StoredBytesLog(whole, "parcels").read()[0].kinds
