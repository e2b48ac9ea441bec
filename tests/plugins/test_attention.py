"""How old may be what a page says: a ledger not at all; audits, retractions and checks of libraries a minute on the overview, and not at all on a model's own pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

import pytest
from histories import tell

from include.audit.audit_log import AuditLog, AuditRun
from include.config.load import load_model
from include.config.settings import ROOT, Settings
from include.data.ingestion.catalogue import Catalogue
from include.data.ingestion.readings import Observation
from include.errors import StoreUnavailable
from include.registry.history.trained_on import snapshot_of
from include.registry.ledger import Ledger
from include.registry.versions import fit_of
from include.scoring import library_check
from include.storage.answers import keep_answer
from include.storage.local import LocalStore
from include.training import library_versions
from ratchet_ui.attention import RECENT
from ratchet_ui.cache.page_cache import PageCache
from ratchet_ui.pages import draw_model, draw_models, draw_version
from tests.counting import CountingStore

T = TypeVar("T")

NAME = "flight_delay"
NOW = datetime(2014, 1, 1, tzinfo=UTC)
ADA = {"user": "ada", "trigger": "manual"}
SHIPPED = (ROOT / "include" / "models" / NAME / "model.yaml").read_text()


class Ada:
    """A viewer who may do everything."""

    def may_read(self, model: str) -> bool:
        return True

    may_trigger = may_read

    def may_see_import_errors(self) -> bool:
        return True


class Away(CountingStore):
    """Does not answer calls whose key holds a text."""

    away = ""

    def _count(self, call: str, answer: Callable[[], T]) -> T:
        return super()._count(call, self._none if self.away and self.away in call else answer)

    def _none(self) -> NoReturn:
        raise StoreUnavailable("the store did not answer")


class Site:
    """One model with a web process that looks at it by a clock of its own."""

    def __init__(self, root: Path) -> None:
        (root / "models" / NAME).mkdir(parents=True)
        path = root / "models" / NAME / "model.yaml"
        path.write_text(SHIPPED.replace("schedule: {", 'schedule: {audit: "@weekly", ', 1))
        self.store = LocalStore(root / "store")
        tell(self.store, load_model(path), versions=3)
        self.now = 1000.0
        self.settings = replace(Settings.from_environment(), store=self.store.url, models=root / "models")
        self.counting = Away(self.store)
        self.cache = PageCache(self.settings, clock=lambda: self.now)
        self.cache.store = self.counting  # type: ignore[assignment] # the pages only read
        self.ledger = Ledger(self.store, NAME)

    @property
    def champion(self) -> str:
        return str(self.ledger.timeline().champion)

    def overview(self) -> str:
        self.counting.reset()
        return draw_models(self.cache, Ada(), "", now=NOW)  # type: ignore[arg-type]

    def model(self) -> str:
        self.counting.reset()
        return draw_model(self.cache, Ada(), NAME, "", page=1, now=NOW)  # type: ignore[arg-type]

    def version(self) -> str:
        self.counting.reset()
        champion = self.cache.read(NAME)[1].champion
        assert champion is not None
        return draw_version(self.cache, Ada(), NAME, champion, "")  # type: ignore[arg-type]

    def retract(self, said: str) -> None:
        snapshot = snapshot_of(self.ledger, self.champion)
        one = snapshot.partitions[0]
        reading = Observation(one.slot, one.content, one.file, one.rows, 1, "2014-01-01T00:00:00Z")
        nothing = replace(reading, content="0" * 64, rows=0)
        Catalogue(self.store, NAME, snapshot.source).retract(reading, nothing, said, ADA, NOW)

    def audit(self, said: str) -> None:
        found = AuditRun(said, 0, 0, 1, 1, {"a version": said}, ("a version",))
        AuditLog(self.store, NAME).keep(found, at=NOW)

    def check_libraries(self, said: str) -> None:
        fit = fit_of(self.store, self.ledger.version(self.champion))
        question = library_check._question(self.champion, fit)
        keep_answer(self.store, f"{NAME}/{library_check.FOLDER}", question, {"problem": said})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(library_versions, "installed_version", lambda name: "9.9.9")
    yield Site(tmp_path)


FACTS: list[tuple[Callable[[Site, str], None], str, str]] = [
    (Site.retract, "taken back on 1 January 2014 by ada: broken", "taken back on 1 January 2014 by ada: broken"),
    (Site.audit, "1 things on record are not what they were", "broken"),
    (Site.check_libraries, "with the installed libraries", "with the installed libraries"),
]
"""What somebody puts on record beside the ledger, what the overview says of it, and the model's page."""

each_fact = pytest.mark.parametrize(("put", "shown", "said"), FACTS, ids=["retraction", "audit", "libraries"])


@each_fact
def test_what_was_found_out_is_on_the_overview_within_a_minute(
    site: Site, put: Callable[[Site, str], None], shown: str, said: str
) -> None:
    assert shown not in site.overview()
    put(site, "broken")
    site.now += RECENT - 0.001
    assert shown not in site.overview()
    assert site.counting.calls == [f"get {NAME}/ledger/00000006.json"], "the next event of its ledger, and nothing else"
    site.now += 0.001
    assert shown in site.overview()
    site.now += RECENT - 0.001
    assert shown in site.overview() and len(site.counting.calls) == 1


@each_fact
def test_the_models_own_page_says_at_once_what_was_found_out_and_from_then_on_the_overview_too(
    site: Site, put: Callable[[Site, str], None], shown: str, said: str
) -> None:
    assert shown not in site.overview() and said not in site.model()
    put(site, "broken")
    assert shown not in site.overview()
    assert said in site.model()
    assert shown in site.overview() and len(site.counting.calls) == 1


def test_the_page_of_a_version_says_at_once_what_was_taken_back(site: Site) -> None:
    assert "taken back" not in site.overview() + site.version()
    site.retract("broken")
    assert "taken back" in site.version()
    assert "taken back" in site.overview()


def test_a_decision_is_shown_at_the_next_view_and_nothing_of_another_champion_is_said_of_the_new_one(
    site: Site,
) -> None:
    before = site.champion
    site.check_libraries("broken")
    text = site.overview()
    assert f"/versions/{before}" in text and "with the installed libraries" in text
    site.ledger.withdraw(before, "late feed", actor=ADA, at=NOW)
    text = site.overview()
    assert site.champion != before and f"/versions/{site.champion}" in text
    assert "with the installed libraries" not in text, "found out about the champion before"
    site.check_libraries("broken, too")
    site.ledger.withdraw(site.champion, "late feed", actor=ADA, at=NOW)
    assert "it has 3 versions but no champion" in site.overview()


@pytest.mark.parametrize(
    ("away", "shown"),
    [
        (f"{NAME}/ledger/", "its ledger can&#39;t be read: the store did not answer"),
        ("/audit/", "its audits can&#39;t be read: the store did not answer"),
        ("/partitions/", "what was found out about its champion can&#39;t be read: the store did not answer"),
        (f"/{library_check.FOLDER}/", "what was found out about its champion can&#39;t be read: the store did not"),
    ],
)
@pytest.mark.parametrize("first", [True, False], ids=["first view", "later view"])
def test_a_store_that_does_not_answer_is_named_and_asked_again_at_the_next_view(
    site: Site, away: str, shown: str, first: bool
) -> None:
    if not first:
        assert shown not in site.overview()
        site.now += RECENT
    site.counting.away = away
    assert shown in site.overview()
    assert shown in site.overview(), "what was read before it went away is too old"
    site.counting.away = ""
    assert shown not in site.overview() and len(site.counting.calls) > 1
    assert shown not in site.overview() and len(site.counting.calls) == 1
