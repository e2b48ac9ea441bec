"""A promotion to another stage as its DAG takes it: sent, measured on that stage's rows, asked about, and put on its record."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, DownstreamTasksSkipped, TaskAwaitingInput
from airflow.sdk.execution_time.context import OutletEventAccessors
from chain_run import NOW, declare, month, parcels, run_chain
from signed_world import SignedWorld

from include.command_line.recording.promote import promote
from include.config.load import load_model
from include.errors import ConfigError, SignatureRefused
from include.registry.ledger import Ledger
from include.registry.verification import verify
from include.signing.keys import new_key
from include.storage.content import to_iso
from include.storage.local import LocalStore
from include.storage.store import ObjectStore
from ratchet_operators import Approve, DecideAgain, Reconsider, Send, Settle

LIVE = {"trigger": "scheduled", "dag": "retrain_parcels", "run": "live"}
ANSWERED = datetime(2026, 3, 1, 12, tzinfo=UTC)


def declare_production(folder: Path) -> None:
    """Declare the model as production has it: rows of its own, and a person who approves."""
    declare(folder, parcels(seed=4).assign(parcel=lambda frame: frame["parcel"] + 100_000))
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace("gate:\n", "gate:\n  approval: {when: always, by: [grace]}\n"))


class Promotion:
    """One run of ``promote_to_production_parcels``."""

    def __init__(self, models: Path, production: Path) -> None:
        self.model = load_model(models / "parcels" / "model.yaml").to_json()
        self.judged = load_model(production / "parcels" / "model.yaml").to_json()
        self.asked: dict[str, Any] = {}
        self.upstream: dict[str, Any] = {}

    def run(self, name: str, event: Any = None, wanted: str | None = None) -> set[str]:
        """Execute one task, keep what it hands over, and return the tasks that it skips."""
        there = {"model": self.judged, "stage": "production"}
        sent, measured, approval = (self.upstream.get(one) for one in ("send", "reconsider", "approve"))
        with DAG("promote_to_production_parcels"):
            send = Send(task_id="send", model=self.model, to="production", decide="reconsider")
            look = Reconsider(task_id="reconsider", sent=sent, decide="decide", approve="approve", **there)
            approve = Approve(task_id="approve", upstream=measured, approved="decide", kept="decide", **there)
            decide = DecideAgain(task_id="decide", upstream=measured, approval=approval, **there)
            settle = Settle(task_id="settle", upstream=self.upstream.get("decide"), **there)
            send >> look >> [approve, decide] >> settle
            approve >> decide
        self.task: Any = {task.task_id: task for task in (send, look, approve, decide, settle)}[name]
        dag, pushed = "promote_to_production_parcels", {}
        ti = SimpleNamespace(
            id="ti", dag_id=dag, run_id="r", map_index=-1, task=self.task,
            xcom_push=lambda key, value: pushed.update({key: value}),
        )  # fmt: skip
        run = SimpleNamespace(
            run_type="manual", logical_date=None, run_after=month(24), start_date=month(24), dag_id=dag, run_id="r"
        )
        self.events = OutletEventAccessors()
        params = {"version": wanted, "as_of": to_iso(month(10)), "reason": "release"}
        context: Any = {
            "ti": ti, "task_instance": ti, "dag_run": run, "params": params, "outlet_events": self.events,
        }  # fmt: skip
        skipped: set[str] = set()
        try:
            done = self.task.execute(context) if event is None else self.task.execute_complete(context, event)
        except DownstreamTasksSkipped as error:
            done, skipped = None, {task if isinstance(task, str) else task[0] for task in error.tasks}
        self.upstream[name] = json.loads(json.dumps(pushed.get("return_value") if done is None else done))
        return skipped


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("promotions")
    model = declare(root / "models" / "parcels")
    run_chain(LocalStore(root / "store"), model, root / "models" / "parcels", month(7), actor=LIVE)
    declare_production(root / "production" / "parcels")
    return root


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "p")
    return tmp_path / "p"


@pytest.fixture
def promotion(
    place: Path, store: ObjectStore, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Promotion:
    """A staging store in a folder, and a production store of each kind."""
    if store.url.startswith("s3://"):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", request.getfixturevalue("s3_server"))
    monkeypatch.setenv("RATCHET_STORE", LocalStore(place / "store").url)
    monkeypatch.setenv("RATCHET_MODELS", str(place / "models"))
    monkeypatch.setenv("RATCHET_STAGES", f"production={store.url}")
    monkeypatch.setenv("RATCHET_STAGE_MODELS", f"production={place / 'production'}")
    promotion = Promotion(place / "models", place / "production")
    monkeypatch.setattr(hitl, "upsert_hitl_detail", lambda **facts: promotion.asked.update(facts))
    return promotion


def approved(chosen: str = "Approve") -> dict[str, Any]:
    return {
        "chosen_options": [chosen], "params_input": {"note": "seen on staging"}, "responded_at": ANSWERED,
        "responded_by_user": {"id": "7", "name": "grace"}, "timedout": False,
    }  # fmt: skip


def test_a_champion_is_in_force_in_the_other_store_once_its_gate_and_a_person_say_so(
    promotion: Promotion, place: Path, store: ObjectStore
) -> None:
    here, there = Ledger(LocalStore(place / "store"), "parcels"), Ledger(store, "parcels")
    champion, before = here.timeline().champion, len(here.entries())
    assert promotion.run("send") == set()
    assert promotion.upstream["send"]["version"] == champion and there.timeline().champion is None

    assert promotion.run("reconsider") == set(), "decide waits for the answer"
    measured = promotion.upstream["reconsider"]
    assert measured["outcome"] == "PROMOTE" and there.timeline().champion is None
    with pytest.raises(TaskAwaitingInput):
        promotion.run("approve")
    assert promotion.asked["subject"] == f"Put {champion} of parcels in force in production? The gate would promote it."
    assert [one["id"] for one in promotion.asked["assigned_users"]] == ["grace"], "as production declares it"
    assert f"(/ratchet/{measured['card']})" in promotion.asked["body"]
    own = LocalStore(place / "store")
    assert own.exists(f"{measured['card']}.html") and own.exists(f"parcels/evidence/{measured['evidence']}.json")

    promotion.run("approve", approved())
    promotion.run("decide")
    timeline = there.timeline()
    assert timeline.champion == champion and timeline.champion_as_of(month(9)) is None
    decision = timeline[str(champion)].decision
    assert decision is not None and decision.approval is not None and decision.approval["user"] == "grace"
    ((uri, extra),) = [
        (event.dest_asset_key.uri, event.extra)
        for outlet in promotion.task.outlets
        for event in promotion.events[outlet].asset_alias_events
    ]
    assert (uri, extra["version"]) == ("x-ratchet://parcels/champion@production", champion)
    promotion.run("settle")
    assert promotion.upstream["settle"] == {"champion": champion, "again": 0}
    folder = place / "production" / "parcels"
    assert [one for one in verify(there, folder) if one.state == "wrong"] == []
    assert len(here.entries()) == before, "what production decides changes nothing here"


def test_sent_again_after_the_decision_nobody_is_asked_again(promotion: Promotion, store: ObjectStore) -> None:
    promotion.run("send")
    promotion.run("reconsider")
    promotion.run("approve", approved("Reject"))
    promotion.run("decide")
    there = Ledger(store, "parcels")
    assert there.timeline().champion is None, "a person said no"
    events = len(there.entries())
    assert promotion.run("send") == {"reconsider"}
    assert promotion.upstream["send"]["objects"] == 0 and len(there.entries()) == events


def test_an_alias_names_what_is_sent_and_an_unknown_name_fails_at_once(promotion: Promotion, place: Path) -> None:
    ledger = Ledger(LocalStore(place / "store"), "parcels")
    champion = str(ledger.timeline().champion)
    with pytest.raises(AirflowFailException, match="There is no version canary"):
        promotion.run("send", wanted="canary")
    ledger.alias("canary", champion, reason="release", actor=LIVE, at=month(24))
    promotion.run("send", wanted="canary")
    assert promotion.upstream["send"]["version"] == champion


@pytest.fixture
def signed(
    signed_world: SignedWorld, place: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[SignedWorld, Promotion, LocalStore]:
    """A store that signs, whose anchors remember its ledgers, and an empty production store."""
    production = LocalStore(place / "production_store")
    monkeypatch.setenv("RATCHET_STAGES", f"production={production.url}")
    monkeypatch.setenv("RATCHET_STAGE_MODELS", f"production={place / 'production'}")
    return signed_world, Promotion(signed_world.root, place / "production"), production


def test_a_signed_champion_is_signed_there_and_each_ledger_is_remembered_by_itself(
    signed: tuple[SignedWorld, Promotion, LocalStore],
) -> None:
    world, promotion, production = signed
    promotion.run("send")
    promotion.run("reconsider")
    promotion.run("approve", approved())
    promotion.run("decide")
    there = Ledger(production, "parcels")
    assert there.timeline().champion == world.champion
    assert list(production.list("parcels/heads/")) and list(production.list("parcels/statements/"))
    assert [one for one in verify(there, world.folder) if one.state == "wrong"] == []
    remembered = {name: (world.root / name / "parcels.json").read_bytes() for name in ("anchors", "anchors@production")}
    assert len(set(remembered.values())) == 2
    assert len(world.ledger.entries()) == 4, "its own ledger is read as before"


def test_the_command_sends_to_a_named_stage_beside_anchors_and_to_no_other_store(
    signed: tuple[SignedWorld, Promotion, LocalStore],
) -> None:
    world, _, production = signed
    with pytest.raises(ConfigError, match="An anchor remembers one ledger"):
        promote("parcels", None, (world.root / "elsewhere").as_uri(), None, NOW)
    assert f"{world.champion} is registered in" in promote("parcels", None, "production", None, NOW)
    assert (world.root / "anchors@production" / "parcels.json").exists()
    assert world.champion in Ledger(production, "parcels").timeline()


def test_what_a_key_signed_that_is_not_trusted_is_not_sent(
    signed: tuple[SignedWorld, Promotion, LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, promotion, production = signed
    pem, key = new_key("other", month(1) - timedelta(days=1))
    (world.root / "other.pem").write_bytes(pem)
    (world.root / "others.json").write_text(json.dumps([key.to_json()]))
    monkeypatch.setenv("RATCHET_TRUSTED_KEYS", str(world.root / "others.json"))
    monkeypatch.setenv("RATCHET_SIGNING_KEY", str(world.root / "other.pem"))
    monkeypatch.delenv("RATCHET_ANCHORS")
    with pytest.raises(AirflowFailException, match="sign"):
        promotion.run("send")
    assert list(production.list("")) == []


def test_a_stage_that_does_not_trust_the_sender_refuses_its_ledger(
    signed: tuple[SignedWorld, Promotion, LocalStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    world, promotion, production = signed
    promotion.run("send")
    _, key = new_key("other", month(1) - timedelta(days=1))
    (world.root / "others.json").write_text(json.dumps([key.to_json()]))
    monkeypatch.setenv("RATCHET_TRUSTED_KEYS", str(world.root / "others.json"))
    monkeypatch.setenv("RATCHET_STORE", production.url)
    monkeypatch.delenv("RATCHET_ANCHORS")
    with pytest.raises(SignatureRefused):
        Ledger(production, "parcels").timeline()
