"""The best trials of a retraining are printed as `search.start` takes them, and a search that starts from them ends no worse."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from chain_run import declare, month, run_chain

from include.command_line import registry
from include.config.load import load_model
from include.registry.ledger import Ledger
from include.registry.versions import fit_of
from include.storage.local import LocalStore

TREE = "{estimator: decision_tree, params: {max_depth: 4, min_samples_leaf: 10}"


def test_what_is_printed_is_where_the_next_search_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    monkeypatch.setenv("RATCHET_STORE", store.url)
    declare(folder)
    path = folder / "model.yaml"
    plain = path.read_text()
    path.write_text(plain.replace(f"{TREE}}}", f"{TREE}, search: {{method: random, trials: 6}}}}"))
    run_chain(store, load_model(path), folder, month(4))
    told = registry.trials("parcels", None, 2)
    assert "# decision_tree: the best of 6 trials" in told and "logistic_regression" not in told
    start = yaml.safe_load(told)["start"]
    assert len(start) == 2

    path.write_text(plain.replace(f"{TREE}}}", f"{TREE}, search: {{method: random, trials: 4, start: {start}}}}}"))
    model = load_model(path)
    run_chain(store, model, folder, month(5))
    newest = Ledger(store, "parcels").timeline().standings[-1].version
    record = Ledger(store, "parcels").version(newest)
    fit = fit_of(store, record, record.candidates["decision_tree"])
    assert fit.trials is not None and len(fit.trials) == 4
    for one, settings in zip(fit.trials[1:3], start, strict=True):
        assert settings.items() <= one.params.items()
    assert newest in registry.trials("parcels", None, 1) and newest not in told


def test_a_version_without_a_search_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "models" / "parcels", LocalStore(tmp_path / "store")
    monkeypatch.setenv("RATCHET_STORE", store.url)
    run_chain(store, declare(folder), folder, month(4))
    assert "Nothing was searched" in registry.trials("parcels", None, 3)
