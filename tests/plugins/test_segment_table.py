"""A model's page shows its segments as one table: who answers for each since when, by which metric, and the last outcome."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from chain_run import month
from fastapi.testclient import TestClient
from segmented import declare_segments, opposed, run_segments

from include.config.load import load_model
from include.registry.ledger import Ledger
from include.storage.local import LocalStore


def test_the_segments_are_one_table(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = opposed().replace({"carrier": {"bee": "<b>Bee"}})
    rows.loc[rows["carrier"] == "cat", "late"] = False
    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    declare_segments(folder, rows)
    path = folder / "model.yaml"
    path.write_text(path.read_text().replace("[ant, bee, cat]", '[ant, "<b>Bee", cat]'))
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(folder.parent))
    assert "No run has found a segment yet" in client.get("/models/parcels").text
    run_segments(store, load_model(path), folder, month(4))

    text = client.get("/models/parcels").text
    (table,) = re.findall(r'<section aria-labelledby="segments">.*?</section>', text, re.DOTALL)
    told = [re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)][1:]
    by = {row.split()[0]: row for row in told}
    champion = Ledger(store, "parcels/segments/ant").timeline().champion
    assert champion is not None and champion[-10:] in by["ant"].replace(" ", "")
    assert "since" in by["ant"] and "promoted" in by["ant"] and "ROC AUC" in by["ant"]
    assert "<b>Bee" not in table and "&lt;b&gt;Bee" in by["&lt;b&gt;Bee"]
    assert "the model of all rows" in by["cat"] and "not trained" in by["cat"] and "class" in by["cat"]
