"""Stages: a champion goes to another store as it is, and is in force there only by that stage's own gate, rows and approval."""

from __future__ import annotations

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW, declare, month, parcels, run_chain
from faults import FaultyStore, Killed
from place import Place

from include.data.ingestion.ingest import ingest_window
from include.data.snapshots import Snapshot
from include.data.windows import Window
from include.errors import ObjectCorrupt, RegistryError
from include.evaluation.evidence import load_evidence
from include.registry.approval import ApprovalAnswer, ApprovalReply
from include.registry.decisions import Measure
from include.registry.evaluator import evaluator
from include.registry.ledger import Ledger
from include.registry.naming.lookup import find_held
from include.registry.version_states import Origin, Outcome
from include.scoring.score import score
from include.stages import send
from include.storage.entries import Entry, open_entry, seal_entry, seal_fields
from include.storage.local import LocalStore
from include.storage.store import ObjectStore

ADA = {"trigger": "manual", "dag": "command line", "run": "promote", "user": "ada"}


class Stage(Place):
    """A store, and the model's folder with the rows that this stage has."""

    def measure(self, as_of: datetime) -> Measure:
        def bring(window: Window) -> Snapshot:
            return ingest_window(self.store, self.model, self.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]

        return evaluator(self.store, self.folder, threads=1, as_of=as_of, ingest=bring, clock=lambda: 0.0)

    def fits(self) -> list[str]:
        return sorted(self.store.list("parcels/fits/"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stages")
    declare(root / "staging" / "parcels")
    staging = Stage(root / "staging")
    run_chain(staging.store, staging.model, staging.folder, month(7), actor=ADA)
    declare(root / "production" / "parcels", parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000))
    path = root / "production" / "parcels" / "model.yaml"
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval: always\n"))
    return root


@pytest.fixture
def staging(made: Path, tmp_path: Path) -> Stage:
    shutil.copytree(made / "staging", tmp_path / "staging")
    return Stage(tmp_path / "staging")


@pytest.fixture
def production(made: Path, tmp_path: Path) -> Stage:
    shutil.copytree(made / "production", tmp_path / "production")
    return Stage(tmp_path / "production")


def sent(staging: Stage, production: Stage, *, store: ObjectStore | None = None, wanted: str | None = None) -> Any:
    target = Ledger(store or production.store, "parcels")
    return send(staging.ledger, target, staging.model, staging.folder, wanted, actor=ADA, at=NOW)


def test_a_champion_is_in_force_in_production_only_by_its_gate_its_rows_and_its_approval(
    staging: Stage, production: Stage
) -> None:
    champion = staging.champion
    assert champion is not None
    assert sent(staging, production).version == champion
    assert production.champion is None, "promoted in one stage is promoted in no other"
    assert find_held(production.ledger.timeline(), None) == champion
    assert production.fits() == staging.fits()

    as_of = month(10)
    measured = production.ledger.measure(production.model, champion, production.measure(as_of), since=as_of)
    assert measured.judge(production.model.gate).outcome is Outcome.PROMOTE
    own = production.ledger.config  # what the decision names is the declaration of production
    reply = ApprovalReply(ApprovalAnswer.APPROVED, measured.digest, None, "grace", "2026-01-01T00:00:00Z", "go")
    facts = {"as_of": as_of, "measure": production.measure(as_of), "actor": ADA, "at": NOW}
    decision = production.ledger.reconsider(production.model, champion, reply=reply, **facts)
    assert (decision.outcome, decision.approval and decision.approval["user"]) == (Outcome.PROMOTE, "grace")
    assert own(decision.config).gate.approval.when == "always"
    timeline = production.ledger.timeline()
    assert timeline.champion == champion and timeline.champion_as_of(as_of - timedelta(days=1)) is None
    assert production.fits() == staging.fits(), "nothing is trained"

    judged = load_evidence(production.store, "parcels", decision.evidence)
    theirs = {
        one.content
        for one in Snapshot.load(staging.store, "parcels", staging.ledger.version(champion).snapshot).partitions
    }
    rows = Snapshot.load(production.store, "parcels", judged.snapshot).partitions
    assert rows and not theirs & {one.content for one in rows}, "judged on rows of production, and on none of staging"
    origin = timeline[champion].origin
    assert origin is not None and (origin.store, origin.event) == (staging.store.url, 1)
    assert production.wrong() == []
    window = Window(month(10), month(11))
    snapshot = ingest_window(production.store, production.model, production.folder, window, at=NOW, connections=None)  # type: ignore[arg-type]
    manifest = score(production.store, production.model, production.folder, snapshot, at=NOW)
    assert manifest is not None and manifest.version == champion


def test_without_an_answer_it_stays_held_and_a_rejection_is_a_fact(staging: Stage, production: Stage) -> None:
    champion = sent(staging, production).version
    as_of = month(10)
    facts = {"as_of": as_of, "measure": production.measure(as_of), "actor": ADA, "at": NOW}
    assert production.ledger.reconsider(production.model, champion, **facts).outcome is Outcome.HOLD
    assert production.champion is None
    assert staging.champion == champion, "what production says changes nothing here"


def test_sent_again_nothing_more_is_on_record_and_killed_anywhere_it_goes_on(staging: Stage, production: Stage) -> None:
    whole = Stage(production.root.parent / "whole")
    shutil.copytree(production.root, whole.root)
    counted = FaultyStore(whole.store)
    first = sent(staging, whole, store=counted)
    again = sent(staging, whole)
    assert (first.registered, again.registered, again.objects) == (True, False, 0)
    assert again.present == first.objects + first.present
    assert len(whole.ledger.entries()) == 1
    last = counted.calls
    for number, mode in [(n, m) for n in (1, 9, 23, last // 2, last - 4, last - 1, last) for m in ("before", "after")]:
        place = LocalStore(production.root / f"{mode}{number}")
        with pytest.raises(Killed):
            sent(staging, production, store=FaultyStore(place, fail_at=number, mode=mode))  # type: ignore[arg-type]
        entries = Ledger(place, "parcels").entries()
        assert len(entries) <= 1
        sent(staging, production, store=place)
        assert [one.kind for one in Ledger(place, "parcels").entries()] == ["registered"]
        assert sorted(place.list("parcels/models/")) == sorted(whole.store.list("parcels/models/"))


@pytest.mark.parametrize("folder", ["models", "fits", "partitions", "code", "snapshots", "configs"])
@pytest.mark.parametrize("where", ["here", "there"])
def test_nothing_is_registered_where_an_object_is_not_what_it_is_named_by(
    staging: Stage, production: Stage, folder: str, where: str
) -> None:
    keys = [key for key in staging.store.list(f"parcels/{folder}/") if "/log" not in key]
    record = staging.ledger.version(str(staging.champion))
    key = next(
        (one for one in keys if record.fit in one or record.model_file in one or record.snapshot in one), keys[0]
    )
    damaged = bytearray(staging.store.get(key))
    damaged[len(damaged) // 2] ^= 1
    path = (staging if where == "here" else production).store.root / key
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        path.chmod(0o644)
    path.write_bytes(bytes(damaged))
    with pytest.raises(ObjectCorrupt):
        sent(staging, production)
    assert production.ledger.entries() == ()


def test_only_what_is_promoted_is_sent_and_not_to_itself(staging: Stage, production: Stage) -> None:
    champion = str(staging.champion)
    with pytest.raises(RegistryError, match="to itself"):
        sent(staging, staging)
    staging.ledger.withdraw(champion, "late feed", actor=ADA, at=NOW)
    with pytest.raises(RegistryError, match="Only a promoted version"):
        sent(staging, production, wanted=champion)
    assert production.ledger.entries() == ()


def test_an_origin_that_was_changed_or_never_promoted_the_version_is_told_by_verify(
    staging: Stage, production: Stage
) -> None:
    champion = sent(staging, production).version
    forged = Stage(production.root.parent / "forged")
    shutil.copytree(production.root, forged.root)
    (key,) = production.store.list("parcels/origins/")
    path = production.store.root / key
    path.chmod(0o644)
    path.write_bytes(staging.store.get("parcels/ledger/00000000.json"))
    (told,) = production.wrong()
    assert "was changed" in told

    registered, decided = staging.ledger.entries()[:2]
    held = open_entry(
        seal_fields(_without_digest(decided) | {"body": {**decided.body, "outcome": "HOLD"}}), 1, where=""
    )
    for event in (registered, held):
        for folder in forged.store.root.glob("parcels/ledger*"):
            shutil.rmtree(folder)
        origin = Origin(staging.store.url, event.number, event.digest)
        forged.store.put_if_absent(origin.key("parcels"), seal_entry(event))
        forged.ledger.register(forged.ledger.version(champion), actor=ADA, at=NOW, origin=origin)
        (told,) = forged.wrong()
        assert "did not come from where the ledger says" in told


def _without_digest(entry: Entry) -> dict[str, Any]:
    return {name: fact for name, fact in vars(entry).items() if name != "digest"}
