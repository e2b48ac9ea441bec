"""What the pages keep in memory, and how few calls of the store they need for what they do not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from histories import tell
from signed_world import SignedWorld

from include.config.settings import ROOT, Settings
from include.errors import LedgerRewound
from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from ratchet_ui.cache.ledger_reader import LedgerReader
from ratchet_ui.cache.lru_cache import ThreadSafeCache
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.pages import VERSIONS_ON_A_PAGE, draw_model
from tests.counting import CountingStore

NAME = "flight_delay"
NOW = datetime(2020, 1, 1, tzinfo=UTC)


class Reader:
    """A viewer who may read, and trigger nothing."""

    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return False


def test_a_value_may_be_as_old_as_who_asks_says_and_of_any_age_if_they_say_nothing() -> None:
    now = [0.0]
    cache = ThreadSafeCache(2, clock=lambda: now[0])
    assert cache.get("key", lambda: "old", seconds=60) == "old"
    now[0] = 59.9
    assert cache.get("key", lambda: "new", seconds=60) == "old"
    assert cache.get("key", lambda: "new", seconds=59.9) == "new"
    now[0] = 1e9
    assert cache.get("key", lambda: "newest") == "new"
    assert cache.get("key", lambda: "newest", seconds=0) == "newest"
    assert cache.get("key", lambda: "after", seconds=0) == "after", "also at the same instant of the clock"
    cache.get("second", lambda: 2)
    cache.get("third", lambda: 3)
    assert cache.get("key", lambda: "made again") == "made again", "two are kept"


def test_what_began_to_be_read_earlier_and_ended_later_does_not_take_the_place_of_what_is_newer() -> None:
    now = [0.0]
    cache = ThreadSafeCache(2, clock=lambda: now[0])

    def slow() -> str:
        now[0] = 1.0
        assert cache.get("key", lambda: "newer", seconds=0) == "newer"
        return "older"

    assert cache.get("key", slow, seconds=60) == "newer"
    assert cache.get("key", lambda: "newest", seconds=60) == "newer"


def test_an_error_is_not_kept() -> None:
    cache = ThreadSafeCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("key", lambda: 1 // 0, seconds=60)
    assert cache.get("key", lambda: 1, seconds=60) == 1


def test_a_ledger_without_a_new_event_is_read_and_folded_once(local_store: LocalStore) -> None:
    ids = tell(local_store, versions=3)
    counting = CountingStore(local_store)
    reader = LedgerReader(Ledger(counting, NAME), NAME)
    entries, history = reader.read()
    counting.reset()
    assert reader.read()[1] is history
    assert counting.calls == [f"get {NAME}/ledger/00000006.json"]
    for number, version in enumerate(ids, 1):
        Ledger(local_store, NAME).withdraw(version, "late feed", actor={}, at=NOW)
        entries, history = reader.read()
        assert (len(entries), history.champion is None) == (6 + number, number == 3)


def test_a_ledger_that_seemed_to_have_no_event_is_refused_once_an_anchor_remembers_some(
    signed_world: SignedWorld, tmp_path: Path
) -> None:
    """As of a store whose ledger was removed after this process had found none."""
    (kept,) = (signed_world.root / "anchors").glob("parcels*")
    remembered = kept.read_bytes()
    kept.unlink()
    reader = LedgerReader(Ledger(LocalStore(tmp_path / "empty"), "parcels"), "parcels")
    assert reader.read()[0] == ()
    kept.write_bytes(remembered)
    with pytest.raises(LedgerRewound):
        reader.read()


@pytest.fixture
def cache(tmp_path: Path) -> PageCache:
    """A model with 70 versions, seen by a web process that was just started."""
    store = LocalStore(tmp_path / "store")
    tell(store, versions=70)
    made = PageCache(replace(Settings.from_environment(), store=store.url, models=ROOT / "include" / "models"))
    made.store = CountingStore(store)  # type: ignore[assignment] # the pages only read
    return made


def test_the_page_of_a_model_reads_one_record_a_version_and_the_evidence_only_of_what_it_draws(
    cache: PageCache,
) -> None:
    counting = cache.store
    assert isinstance(counting, CountingStore)

    def calls(folder: str, metric: str | None = None) -> int:
        counting.reset()
        draw_model(cache, Reader(), NAME, "", page=1, now=NOW, metric=metric)  # type: ignore[arg-type]
        return len(counting.in_folder(folder))

    history = cache.read(NAME)[1]
    assert history.champion is not None
    later = len(history.versions) - 1 - history.versions.index(history.champion)
    assert calls("versions") == VERSIONS_ON_A_PAGE
    assert calls("evidence") == 0, "kept since"
    assert len(counting.calls) <= 3, counting.calls
    fresh = PageCache(cache.settings)
    fresh.store, cache = counting, fresh
    assert calls("evidence") == 1 + later, "the champion, and what was measured against it since"
    assert len(counting.calls) <= VERSIONS_ON_A_PAGE + later + 12
    assert calls("evidence", "log_loss") > VERSIONS_ON_A_PAGE, "of another metric, the evidence of each that is drawn"
