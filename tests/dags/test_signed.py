"""A task signs with the key of an Airflow connection, and remembers the head in an Airflow variable."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from include.registry.ledger import Ledger
from include.signing.envelope import unseal
from include.signing.heads import HEAD
from include.signing.keys import TrustedKeys, new_key
from include.storage.local import LocalStore
from tests.worlds import NOW, World

ROLL_BACK = """
from pathlib import Path
from airflow.models.variable import Variable
from airflow.utils.session import create_session
def roll_back():
    dag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).dags["rollback_flight_delay"]
    (ti,) = dag.test(run_conf={"reason": "wrong labels"}).get_task_instances()
    with create_session() as session:
        (kept,) = session.query(Variable).filter(Variable.key == "ratchet_head_flight_delay")
        return ti.state, kept.val
first = roll_back()
newest = max(Path(sys.argv[1]).glob("*.json"))
withdrawn = newest.read_text()
newest.unlink()
answer([withdrawn, first, roll_back()])
"""


LOOK = """
from include.config.settings import Settings
from include.errors import LedgerRewound
from ratchet_ui.cache.page_cache import PageCache
try:
    PageCache(Settings.from_environment()).read("flight_delay")
    answer("read")
except LedgerRewound as error:
    answer(error.where)
"""


def test_a_withdrawal_is_signed_and_remembered_and_a_rewound_ledger_is_refused(
    in_airflow: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    pem, key = new_key("tasks", NOW - timedelta(days=1))
    trusted, secret = tmp_path / "trusted.json", tmp_path / "key.pem"
    trusted.write_text(json.dumps([key.to_json()]))
    secret.write_bytes(pem)
    monkeypatch.setenv("RATCHET_TRUSTED_KEYS", str(trusted))
    monkeypatch.setenv("RATCHET_SIGNING_KEY", str(secret))
    world = World(store)
    ledger = Ledger(store, "flight_delay")
    for number in (1, 2, 3):
        version = world.version(number, 0.6 + number / 100)
        ledger.register(version, actor={"trigger": "backfill"}, at=NOW)
        ledger.decide(world.model, version.id, measure=world.measure, actor={"trigger": "backfill"}, at=NOW)

    settings = {
        "RATCHET_STORE": store.url,
        "RATCHET_TRUSTED_KEYS": str(trusted),
        "RATCHET_SIGNING_CONNECTION": "ratchet_signing",
        "RATCHET_ANCHORS": "variable://ratchet_head",
        "AIRFLOW_CONN_RATCHET_SIGNING": json.dumps({"conn_type": "generic", "password": pem.decode()}),
    }
    folder = store.root / "flight_delay" / "ledger"
    withdrawn, first, second = in_airflow(ROLL_BACK, str(folder), **settings)
    assert first[0] == "success"
    head, _ = unseal(HEAD, first[1].encode(), TrustedKeys([key]), where="the variable")
    number, digest = head["number"], json.loads(withdrawn)["digest"]
    assert head["digest"] == digest and json.loads(withdrawn)["kind"] == "withdrawn"

    assert second == ["failed", first[1]]
    assert len(list(folder.glob("*.json"))) == number, "nothing is written to a ledger that is older than it was"
    page = in_airflow(LOOK, _AIRFLOW_PROCESS_CONTEXT="server", **settings)
    assert "Airflow variable ratchet_head" in page, "the Models page asks the variable, too"
    (folder / f"{number:08d}.json").write_text(withdrawn)
    assert Ledger(store, "flight_delay").entries()[-1].digest == digest
