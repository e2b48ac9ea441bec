"""Each column is drawn beside the last snapshot before it, whichever that is by now, and nothing of the comparison is stored."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chain_run import declare, month, parcels, run_chain
from fastapi.testclient import TestClient

from include.registry.ledger import Ledger
from include.storage.local import LocalStore
from ratchet_ui.distributions_page import beside


def rows_of(page: str) -> dict[str, str]:
    """Return the cells of each column of the model."""
    rows = re.findall(r'<th scope="row" data-label="Column">([\w ]+)(.*?)</tr>', page, re.DOTALL)
    return {name.strip(): rest for name, rest in rows}


def test_a_version_is_drawn_beside_the_one_before_it_by_as_of(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(folder.parent))
    few = {"numeric": "{columns: [weight, evening], scale: standard}"}
    model = declare(folder, parcels(), **few)
    run_chain(store, model, folder, month(5))
    run_chain(store, declare(folder, parcels()), folder, month(8))
    first, second = (one.version for one in Ledger(store, "parcels").timeline().standings)

    def page(version: str) -> str:
        answer = client.get(f"/models/parcels/versions/{version}/distributions")
        assert answer.status_code == 200
        return answer.text

    before = {key: store.get(key) for key in store.list("")}
    alone, compared = page(first), page(second)
    assert {key: store.get(key) for key in store.list("")} == before, "looking stores nothing"
    assert "It is the first version" in alone
    assert {name: len(re.findall("<svg", row)) for name, row in rows_of(alone).items()} == {
        "weight": 1,
        "carrier": 1,
        "late": 1,
    }
    assert "no version before" in rows_of(alone)["weight"]
    assert {name: len(re.findall("<svg", row)) for name, row in rows_of(compared).items()} == {
        "weight": 2, "carrier": 2, "late": 2, "distance": 1,
    }  # fmt: skip
    assert ">new<" in rows_of(compared)["distance"] and ">new<" not in rows_of(compared)["weight"]
    assert f"versions/{first}" in compared
    assert f"versions/{second}/distributions" in client.get(f"/models/parcels/versions/{second}").text

    declare(folder, parcels(), **few)
    run_chain(store, model, folder, month(6))  # a backfill
    assert {key: store.get(key) for key in before} == before
    between = Ledger(store, "parcels").timeline().standings[1].version
    assert f"versions/{between}" in page(second) and f"versions/{first}" not in page(second)
    assert "It is the first version" in page(first)


def test_a_column_that_is_gone_comes_last() -> None:
    def column(name: str, *counts: int) -> dict[str, object]:
        levels = [{"level": str(n), "train": count, "holdout": 1} for n, count in enumerate(counts)]
        return {"column": name, "levels": levels, "others": {"levels": 0, "train": 0, "holdout": 0}}

    found = beside([column("b", 3), column("c", 1, 2)], [column("a", 4), column("b", 5)])
    assert [(name, now is not None, then is not None) for name, now, then in found] == [
        ("b", True, True), ("c", True, False), ("a", False, True),
    ]  # fmt: skip
