"""The end of a signed ledger can't be taken away, replaced or added to without anybody noticing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.command_line.app import app
from include.command_line.signing import sign
from include.errors import ConfigError, LedgerRewound, SignatureRefused
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.signing.anchors import FileAnchor, StoreAnchor
from include.signing.deployment import heads_of_deployment
from include.signing.keys import TrustedKey, new_key
from include.storage.content import digest, to_iso
from include.storage.local import LocalStore
from include.storage.log import Log
from include.storage.store import ObjectStore
from tests.counting import CountingStore
from tests.faults import FaultyStore, Killed
from tests.worlds import NOW, MemoryStore, World

BACKFILL = {"trigger": "backfill"}
SETTINGS = ("RATCHET_TRUSTED_KEYS", "RATCHET_SIGNING_KEY", "RATCHET_ANCHORS")
DAY = timedelta(days=1)


class Signed:
    """A store, a key file, a list of trusted keys and a folder that remembers, as a deployment sets them."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.monkeypatch = root, monkeypatch
        self.store = LocalStore(root / "store")
        self.quality: dict[str, float] = {}
        self.keys: list[TrustedKey] = []
        self.pems: dict[str, bytes] = {}
        self.use(self.add("first", NOW - DAY))
        self.set("RATCHET_ANCHORS", (root / "anchors").as_uri())

    def set(self, name: str, value: object) -> None:
        self.monkeypatch.setenv(name, str(value))

    def unset(self, *names: str) -> None:
        for name in names:
            self.monkeypatch.delenv(name, raising=False)

    def add(self, name: str, since: datetime, until: datetime | None = None) -> str:
        pem, key = new_key(name, since)
        self.keys.append(key if until is None else TrustedKey(name, key.public, since, until))
        self.pems[name] = pem
        self.trust(*self.keys)
        return name

    def trust(self, *keys: TrustedKey) -> None:
        path = self.root / "trusted.json"
        path.write_text(json.dumps([key.to_json() for key in keys]))
        self.set("RATCHET_TRUSTED_KEYS", path)

    def use(self, name: str) -> None:
        path = self.root / f"{name}.pem"
        path.write_bytes(self.pems[name])
        self.set("RATCHET_SIGNING_KEY", path)

    def ledger(self) -> Ledger:
        return Ledger(self.store, "flight_delay")

    def fill(self, *months: int, store: ObjectStore | None = None, at: datetime = NOW) -> None:
        world = World(store or self.store)
        world.quality = self.quality
        for number in months:
            version = world.version(number, 0.6 + number / 100)
            ledger = Ledger(world.store, "flight_delay")
            ledger.register(version, actor=BACKFILL, at=at)
            ledger.decide(world.model, version.id, measure=world.measure, actor=BACKFILL, at=at)

    def remove_from(self, number: int) -> None:
        """Remove the newest events and all checkpoints, as whoever may write to the store can."""
        for key in self.store.list("flight_delay/ledger-checkpoints/"):
            (self.store.root / key).unlink()
        for key in [*self.store.list("flight_delay/ledger/"), *self.store.list("flight_delay/heads/")]:
            if int(key.rpartition("/")[2][:8]) >= number:
                (self.store.root / key).unlink()


@pytest.fixture
def signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Signed:
    return Signed(tmp_path, monkeypatch)


def looked(signed: Signed) -> dict[str, tuple[str, str]]:
    return {one.what: (one.state, one.found) for one in verify(signed.ledger(), signed.root)}


def test_events_have_the_same_bytes_whether_they_are_signed_or_not(signed: Signed, tmp_path: Path) -> None:
    signed.fill(1, 2)
    signed.unset(*SETTINGS)
    plain = LocalStore(tmp_path / "plain")
    signed.fill(1, 2, store=plain)
    without = [(e.number, e.kind, e.at, e.body) for e in Ledger(plain, "flight_delay").entries()]
    assert [(e.number, e.kind, e.at, e.body) for e in signed.ledger().entries()] == without
    assert not list(plain.list("flight_delay/heads/"))
    for entry in signed.ledger().entries():
        stored = signed.store.get(f"flight_delay/ledger/{entry.number:08d}.json")
        assert digest(b"{" + stored[len('{"digest":"",') + 64 :]) == entry.digest


def test_every_event_is_signed_beside_it_and_the_newest_is_remembered(signed: Signed) -> None:
    signed.fill(1, 2)
    assert len(list(signed.store.list("flight_delay/heads/"))) == len(signed.ledger().entries()) == 4
    state, found = looked(signed)["the signatures"]
    assert state == "ok" and "4 events are signed by first" in found and "anchors" in found


def test_a_ledger_that_lost_its_newest_events_is_refused_by_every_reader(signed: Signed) -> None:
    signed.fill(1, 2, 3)
    backup = signed.root / "backup"
    shutil.copytree(signed.store.root, backup)
    signed.remove_from(4)
    for read in (lambda: signed.ledger().entries(), lambda: signed.ledger().timeline(), lambda: signed.fill(4)):
        with pytest.raises(LedgerRewound) as refused:
            read()
        assert refused.value.expected.startswith("event 5 of") and refused.value.found == "4 events"
        assert "anchors" in refused.value.where and "backup" in refused.value.remedy
    shutil.rmtree(signed.store.root)
    shutil.copytree(backup, signed.store.root)
    signed.fill(4)


def test_a_ledger_that_was_removed_whole_is_refused(signed: Signed) -> None:
    signed.fill(1)
    shutil.rmtree(signed.store.root)
    with pytest.raises(LedgerRewound, match="older than its remembered head"):
        signed.ledger().entries()


def test_another_signed_ledger_in_its_place_is_refused(signed: Signed, tmp_path: Path) -> None:
    other = LocalStore(tmp_path / "other")
    anchors = (tmp_path / "elsewhere").as_uri()
    signed.set("RATCHET_ANCHORS", anchors)
    signed.fill(1, 2, 3, store=other)
    signed.set("RATCHET_ANCHORS", (signed.root / "anchors").as_uri())
    signed.fill(4, 5)
    shutil.rmtree(signed.store.root)
    shutil.copytree(other.root, signed.store.root)
    with pytest.raises(LedgerRewound, match="differs from its remembered head"):
        signed.ledger().entries()


def test_an_event_that_nobody_trusted_signed_is_not_taken(signed: Signed) -> None:
    signed.fill(1)
    before = len(signed.ledger().entries())
    trusted = signed.root / "trusted.json"
    honest = trusted.read_text()
    signed.unset(*SETTINGS)
    signed.fill(2)  # whoever may write to the store, without a key
    signed.set("RATCHET_TRUSTED_KEYS", trusted)
    with pytest.raises(SignatureRefused, match="is not signed"):
        signed.ledger().entries()
    signed.remove_from(before)
    signed.add("foreign", NOW - DAY)
    signed.use("foreign")
    signed.fill(2)
    trusted.write_text(honest)
    with pytest.raises(SignatureRefused, match="signer is not known"):
        signed.ledger().entries()


def test_the_signature_of_one_event_or_model_is_not_that_of_another(signed: Signed) -> None:
    signed.fill(1)
    first, second = (signed.store.root / key for key in signed.store.list("flight_delay/heads/"))
    honest = second.read_bytes()
    forged = honest[:-30] + (b"B" if honest[-30:-29] == b"A" else b"A") + honest[-29:]
    for other in (first.read_bytes(), forged, b"{}", b"[" * 50_000):
        second.chmod(0o644)
        second.write_bytes(other)
        with pytest.raises(SignatureRefused):
            signed.ledger().entries()
        assert looked(signed)["the signatures"][0] == "wrong"
    second.write_bytes(honest)
    assert len(signed.ledger().entries()) == 2


def test_keys_rotate_and_what_was_signed_stays_signed(signed: Signed) -> None:
    signed.fill(1)
    signed.keys[0] = TrustedKey("first", signed.keys[0].public, NOW - DAY, NOW + DAY)
    signed.add("second", NOW + DAY / 2)
    signed.use("second")
    signed.fill(2, at=NOW + 2 * DAY)
    state, found = looked(signed)["the signatures"]
    assert state == "ok" and "first, second" in found
    signed.use("first")
    with pytest.raises(ConfigError, match="not trusted"):
        signed.fill(3, at=NOW + 3 * DAY)


def test_a_retired_key_can_not_sign_after_its_successor_as_of_before(signed: Signed) -> None:
    signed.keys[0] = TrustedKey("first", signed.keys[0].public, NOW - DAY, NOW + DAY)
    signed.add("second", NOW + DAY / 2)
    signed.use("second")
    signed.fill(1, at=NOW + 2 * DAY)
    signed.use("first")
    signed.fill(2, at=NOW)
    state, found = looked(signed)["the signatures"]
    assert state == "wrong" and "before a key came into use" in found


def test_a_ledger_from_before_signing_is_read_again_once_a_person_signed_it(signed: Signed) -> None:
    with pytest.MonkeyPatch.context() as unsigned:
        for name in SETTINGS:
            unsigned.delenv(name)
        signed.fill(1, 2)
    with pytest.raises(SignatureRefused, match="include sign"):
        signed.ledger().entries()
    signed.set("RATCHET_STORE", signed.store.url)
    signed.trust()
    signed.keys.clear()
    signed.use(signed.add("made later", NOW + DAY))
    sign("flight_delay", NOW + 2 * DAY)
    assert signed.ledger().entries()[-1].at < to_iso(NOW + DAY), "events are older than the key"
    signed.fill(3, at=NOW + 3 * DAY)
    assert "the 3 before them are vouched for" in looked(signed)["the signatures"][1]
    signed.remove_from(5)
    with pytest.MonkeyPatch.context() as unsigned:
        for name in SETTINGS:
            unsigned.delenv(name)
        signed.fill(4)
    heads = {key: signed.store.get(key) for key in signed.store.list("flight_delay/heads/")}
    with pytest.raises(LedgerRewound):  # a person does not sign away what an anchor remembers
        sign("flight_delay", NOW + 4 * DAY)
    assert {key: signed.store.get(key) for key in signed.store.list("flight_delay/heads/")} == heads


def test_events_that_were_written_unsigned_among_signed_ones_are_signed_by_a_person_too(signed: Signed) -> None:
    signed.set("RATCHET_STORE", signed.store.url)
    signed.fill(1)
    with pytest.MonkeyPatch.context() as unsigned:
        for name in SETTINGS:
            unsigned.delenv(name)
        signed.fill(2)  # two events, by a process that was set up without a key
    for _ in range(2):
        sign("flight_delay", NOW + DAY)
        state, found = looked(signed)["the signatures"]
        assert state == "ok" and "4 events are signed by first" in found
    signed.fill(3)


def test_a_key_is_made_for_one_owner_only_and_never_over_another(signed: Signed) -> None:
    path = signed.root / "made.pem"
    made = CliRunner().invoke(app, ["key", str(path), "--name", "release"])
    assert path.stat().st_mode & 0o777 == 0o600 and "PRIVATE" not in made.output
    (signed.root / "trusted.json").write_text(f"[{made.output[made.output.index('{') :]}]")
    signed.set("RATCHET_SIGNING_KEY", path)
    signed.fill(1, at=datetime.now(UTC) + DAY)
    assert len(signed.ledger().entries()) == 2
    with pytest.raises(ConfigError, match="exists already"):
        CliRunner().invoke(app, ["key", str(path), "--name", "release"], catch_exceptions=False)


def test_a_writer_killed_anywhere_leaves_a_signed_ledger(signed: Signed) -> None:
    counted = FaultyStore(LocalStore(signed.root / "counted"))
    signed.set("RATCHET_ANCHORS", (signed.root / "counted_anchors").as_uri())
    signed.fill(1, store=counted)
    for mode in ("before", "after"):
        for n in range(1, counted.calls + 1):
            store = LocalStore(signed.root / f"{mode}{n}")
            signed.set("RATCHET_ANCHORS", (signed.root / f"{mode}{n}_anchors").as_uri())
            with pytest.raises(Killed):
                signed.fill(1, store=FaultyStore(store, fail_at=n, mode=mode))  # type: ignore[arg-type]
            assert len(Ledger(store, "flight_delay").entries()) <= 2, (mode, n)
            signed.fill(1, store=store)
            ledger = Ledger(store, "flight_delay")
            assert [entry.kind for entry in ledger.entries()] == ["registered", "decided"]
            assert ledger.heads is not None and not ledger.heads.verify(ledger.entries()).behind


def test_an_anchor_that_missed_a_head_is_mended_by_the_next_reader(signed: Signed) -> None:
    signed.fill(1)
    anchor = signed.root / "anchors" / "flight_delay.json"
    old = anchor.read_bytes()
    signed.fill(2)
    anchor.write_bytes(old)
    assert len(signed.ledger().entries()) == 4
    assert anchor.read_bytes() != old


def test_the_ledger_of_a_segment_is_remembered_beside_that_of_its_model(signed: Signed) -> None:
    signed.fill(1)
    anchor, model = FileAnchor(signed.root / "anchors", signed.store), "flight_delay/segments/jfk"
    heads = heads_of_deployment(signed.store, model)
    log = Log(signed.store, f"{model}/ledger", heads=heads)
    for _ in range(2):
        assert log.append(lambda entries: ("tagged", {}), at=to_iso(NOW)) is not None
    assert heads is not None and not heads.verify(log.read()).behind
    kept = anchor.newest(model)
    assert kept is not None and kept != anchor.newest("flight_delay")
    with pytest.raises(LedgerRewound):
        heads.check(log.read()[:1], lambda entries: entries)


def test_of_racing_writers_the_newest_head_stays_remembered(signed: Signed) -> None:
    anchor = FileAnchor(signed.root / "anchors", signed.store)
    signed.fill(1, 2, 3)
    kept = anchor.newest("flight_delay")
    for number, key in enumerate(signed.store.list("flight_delay/heads/")):  # as writers that were overtaken
        anchor.keep("flight_delay", number, signed.store.get(key))
    assert anchor.newest("flight_delay") == kept


def test_a_second_store_remembers_too(signed: Signed, s3_client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    s3_client.create_bucket(Bucket="anchored")
    monkeypatch.setattr("include.storage.opening._client", lambda: s3_client)
    signed.set("RATCHET_ANCHORS", "s3://anchored/heads")
    signed.fill(1, 2)
    assert "s3://anchored/heads" in looked(signed)["the signatures"][1]
    signed.remove_from(2)
    with pytest.raises(LedgerRewound):
        signed.ledger().entries()


def test_a_second_store_is_asked_near_the_newest_event_and_wholly_where_it_is_behind() -> None:
    store = MemoryStore()
    counting = CountingStore(store)
    anchor = StoreAnchor(counting)
    for number in range(2500):
        anchor.keep("m", number, b"%d" % number)
    for near, calls in ((2499, 2), (2480, 2), (2600, 5), (0, 5)):
        counting.reset()
        assert anchor.newest("m", near) == b"2499" and len(counting.calls) <= calls
    assert anchor.newest("other", 7) is None


def test_reading_a_signed_ledger_costs_one_more_call_whatever_its_length(signed: Signed) -> None:
    costs = []
    for months in ((1,), (2, 3, 4, 5)):
        signed.fill(*months)
        counting, plain = FaultyStore(signed.store), FaultyStore(signed.store)
        Ledger(counting, "flight_delay").entries()
        with pytest.MonkeyPatch.context() as unsigned:
            for name in SETTINGS:
                unsigned.delenv(name)
            Ledger(plain, "flight_delay").entries()
        costs.append(counting.calls - plain.calls)
    assert costs == [1, 1]


MISTAKES: dict[str, tuple[Callable[[Signed], None], str]] = {
    "a key without trust": (lambda s: s.unset("RATCHET_TRUSTED_KEYS"), "half set up"),
    "an anchor in the store": (
        lambda s: s.set("RATCHET_ANCHORS", f"{s.store.url}/anchors"),
        "must not lie in the store",
    ),
    "an anchor of no kind": (lambda s: s.set("RATCHET_ANCHORS", "ftp://somewhere"), "variable://"),
    "no key": (lambda s: s.unset("RATCHET_SIGNING_KEY"), "no key to sign with"),
    "a list of nothing": (lambda s: s.trust(), "include key"),
    "a public key as signing key": (lambda s: s.set("RATCHET_SIGNING_KEY", s.root / "trusted.json"), "Ed25519"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_the_deployment_is_said(signed: Signed, name: str) -> None:
    signed.store.root.mkdir(parents=True)
    make, said = MISTAKES[name]
    make(signed)
    with pytest.raises(ConfigError, match=said) as refused:
        signed.fill(1)
    assert "PRIVATE" not in str(refused.value)
    assert not list(signed.store.list("flight_delay/ledger/"))


def test_signatures_are_those_of_the_standard() -> None:
    """RFC 8032, section 7.1, test 2, and the example of the DSSE specification."""
    from include.signing.envelope import pre_authentication

    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    key = TrustedKey("rfc", public, datetime(2026, 1, 1, tzinfo=UTC))
    assert key.verifies(signature, b"\x72") and not key.verifies(signature, b"\x73")
    assert (
        pre_authentication("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )
