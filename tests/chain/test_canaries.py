"""What rows, secrets and files hold is in data files and nowhere else: values are planted and searched for in all that runs leave."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chain_run import Run, declare, month, parcels, run_chain
from fastapi.testclient import TestClient
from signed_world import SignedWorld

from include.errors import RatchetError
from include.storage.local import LocalStore
from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user

CANARY = "canary-7f3a"
DATA = ("/partitions/", "/golden/", "/scores/", "/quarantine/", "/excluded/")
"""Folders of data files proper."""


class Anybody:
    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return True

    def may_see_import_errors(self) -> bool:
        return True


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """All that is logged, at any level."""
    said, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(said), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


def planted(**columns: Any) -> Any:
    """Rows of which each has an id and a text that nobody else has."""
    rows = parcels(rows=1500)
    rows["parcel"] = [f"{CANARY}-{number}" for number in rows["parcel"]]
    rows["note"] = [f"said {CANARY}-{number}" for number in range(len(rows))]
    return rows.assign(**columns)


def require_none(store: LocalStore, *texts: str) -> None:
    kept = [key for key in store.list("") if not any(folder in f"/{key}" for folder in DATA)]
    assert len(kept) > 20
    assert [key for key in kept if CANARY.encode() in store.get(key)] == []
    assert [text[max(0, text.find(CANARY) - 200) :][:300] for text in texts if CANARY in text] == []


def test_no_value_of_a_row_is_in_what_a_run_hands_over_logs_stores_or_shows(
    tmp_path: Path, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = planted()
    model, store = declare(tmp_path / "parcels", rows), LocalStore(tmp_path / "store")
    upstream = [run_chain(store, model, tmp_path / "parcels", month(number)) for number in (4, 7)]
    run = Run(model, tmp_path / "parcels", month(8))
    snapshot = run.do("ingest", store, {})["ingest"]
    data = [key for key in store.list("") if CANARY.encode() in store.get(key)]
    assert data and all(any(folder in f"/{key}" for folder in DATA) for key in data), (
        "it is in the data, where it belongs"
    )
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path))
    monkeypatch.setitem(pages.app.dependency_overrides, get_user, lambda: "ada")
    monkeypatch.setitem(pages.app.dependency_overrides, Viewer, Anybody)
    client, version = TestClient(pages.app), upstream[-1]["select"]
    shown = ["/models", "/models/parcels", *(f"/models/parcels/versions/{version}{more}" for more in ("", "/card"))]
    shown += [f"/parcels/checks/{one['check']['page']}" for one in upstream] + [
        f"/models/parcels/compare?version={upstream[0]['select']}&version={version}"
    ]
    answers = [client.get(path) for path in shown]
    assert {answer.status_code for answer in answers} == {200}
    require_none(store, json.dumps([upstream, snapshot]), logged.getvalue(), *(answer.text for answer in answers))


@pytest.mark.parametrize(
    ("broken", "expected"),
    [("carrier", "column_values_to_be_in_set"), ("weight", "does not judge texts"), ("late", "too many classes")],
)
def test_no_error_of_a_run_shows_the_value_that_is_wrong(
    tmp_path: Path, logged: io.StringIO, broken: str, expected: str
) -> None:
    rows = planted()
    rows[broken] = rows[broken].astype(object)
    if broken == "carrier":
        rows.loc[rows.index[::50], broken] = f"{CANARY}-carrier"
    else:
        rows[broken] = [f"{CANARY}-{number}" for number in range(len(rows))]
    model, store = declare(tmp_path / "parcels", rows), LocalStore(tmp_path / "store")
    with pytest.raises(RatchetError, match=expected) as refused:
        run_chain(store, model, tmp_path / "parcels", month(7))
    assert CANARY not in str(refused.value) + logged.getvalue()
    told = [key for key in store.list("") if not any(folder in f"/{key}" for folder in DATA)]
    assert [key for key in told if CANARY.encode() in store.get(key)] == []


def test_the_private_key_is_nowhere_but_in_its_file(signed_world: SignedWorld, logged: io.StringIO) -> None:
    secret = (signed_world.root / "key.pem").read_text().splitlines()[1]
    run_chain(signed_world.store, signed_world.model, signed_world.folder, month(9))
    assert signed_world.ledger.verify() > 4
    assert secret not in logged.getvalue()
    assert [key for key in signed_world.store.list("") if secret.encode() in signed_world.store.get(key)] == []
    (signed_world.root / "key.pem").write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")
    with pytest.raises(RatchetError, match="signing key can't be used") as refused:
        run_chain(signed_world.store, signed_world.model, signed_world.folder, month(10))
    assert CANARY not in str(refused.value) + logged.getvalue()


def test_a_file_that_is_none_of_its_kind_is_refused_without_its_content(tmp_path: Path, logged: io.StringIO) -> None:
    """Somebody points a setting or a path of a source at a file that holds secrets."""
    from tests.hostile import PARSERS

    content = f"root:x:0:0:{CANARY}:/root\n{CANARY}={CANARY}\n[{CANARY}]\n".encode()
    for parser in PARSERS:
        for body in (content, CANARY.encode(), content.replace(b"\n", b",")):
            with pytest.raises(RatchetError) as refused:
                PARSERS[parser](body)
            assert CANARY not in str(refused.value), parser
    assert CANARY not in logged.getvalue()
