"""A renamed model goes on with the history that it has: versions, rows, scores, signatures and audits of its former name."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from chain_run import NOW, declare, month, run_chain

from include.audit.audit import audit
from include.audit.offline_check import main as check_pack
from include.command_line import ledger_queries, registry
from include.command_line.lint import lint
from include.config.load import load_model, load_models
from include.config.model import ModelConfig
from include.data.ingestion.ingest import ingest_window
from include.data.windows import Window
from include.errors import ConfigError
from include.notebook import load_champion
from include.registry.ledger import Ledger
from include.registry.naming.renamed import record_names, stored_name
from include.registry.verification import verify
from include.retention.erase import erase
from include.retention.people import People
from include.retention.tidy import tidy
from include.scoring.publication import Publication
from include.scoring.score import score
from include.signing.keys import new_key
from include.storage.content import canonical_json
from include.storage.local import LocalStore
from include.storage.store import ObjectStore, PrunableStore

APRIL = Window(month(4), month(5))


def rename(folder: Path, to: str, former: str) -> Path:
    """Rename a model's folder and its declaration, as a person does, and return the new folder."""
    there = folder.rename(folder.with_name(to))
    path = there / "model.yaml"
    old = next(line for line in path.read_text().splitlines() if line.startswith("name:"))
    lines = [line for line in path.read_text().splitlines() if line != old and not line.startswith("renamed_from:")]
    path.write_text("\n".join([f"name: {to}", f"renamed_from: {former}", *lines]))
    return there


def signing(root: Path, patch: pytest.MonkeyPatch) -> None:
    pem, key = new_key("release", NOW - timedelta(days=1))
    (root / "key.pem").write_bytes(pem)
    (root / "trusted.json").write_text(json.dumps([key.to_json()]))
    patch.setenv("RATCHET_TRUSTED_KEYS", str(root / "trusted.json"))
    patch.setenv("RATCHET_SIGNING_KEY", str(root / "key.pem"))
    patch.setenv("RATCHET_ANCHORS", (root / "anchors").as_uri())


def in_force(store: ObjectStore, model: ModelConfig, folder: Path) -> str:
    """Score April and return by which version."""
    snapshot = ingest_window(store, model, folder, APRIL, at=NOW, connections=None)  # type: ignore[arg-type] # a Python source needs none
    manifest = score(store, model, folder, snapshot, at=NOW)
    assert manifest is not None
    return manifest.version


def test_its_ledger_rows_scores_and_proofs_go_on_under_the_new_name(
    store: PrunableStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signing(tmp_path, monkeypatch)
    model = declare(tmp_path / "models" / "parcels")
    for number in (4, 7):
        run_chain(store, model, tmp_path / "models" / "parcels", month(number))
    ledger = Ledger(store, "parcels")
    old = ledger.timeline().champion
    assert old is not None and in_force(store, model, tmp_path / "models" / "parcels") is not None
    before, held = set(store.list("")), ledger.entries()

    folder = rename(tmp_path / "models" / "parcels", "consignments", "parcels")
    model = load_model(folder / "model.yaml")
    assert (model.declared_name, model.name, model.folder(tmp_path / "models")) == ("consignments", "parcels", folder)
    record_names(store, model)
    again = run_chain(store, model, folder, month(7))
    assert again["select"] == old and ledger.entries() == held, "the same inputs are the same version"
    known = {key for key in before if "/partitions/" in key}
    assert known == {key for key in store.list("") if "/partitions/" in key}, "no rows are read again"
    new = run_chain(store, model, folder, month(10))["select"]
    assert ledger.timeline()[new].decision is not None and ledger.timeline()[new].decision.incumbent == old  # type: ignore[union-attr]
    assert ledger.timeline().champion == new

    ledger.withdraw(new, "worse than it looked", actor={"trigger": "manual"}, at=NOW)
    assert ledger.timeline().champion == old
    first = ledger.timeline().standings[0].version
    assert in_force(store, model, folder) == ledger.timeline().champion_as_of(APRIL.after) == first
    assert Publication(store, model.name, APRIL).newest() is not None

    found = [one for one in verify(ledger, folder) if one.state == "wrong"]
    assert not found and any("signatures" in one.what for one in verify(ledger, folder))
    audited = audit(store, model, folder, run="one", calls=100_000, at=NOW)
    assert audited.complete and not audited.wrong
    assert tidy(store, model, at=NOW, remove=False).told()
    rows = pd.read_parquet(folder / "rows.parquet")
    one = rows[rows["sent_at"] < month(2)]["parcel"].iloc[0]
    gone = erase(store, model, People(("parcel",), frozenset({(str(one),)})), at=NOW, remove=True)
    assert {old, first} & set(gone.versions)
    assert [key for key in store.list("") if not key.startswith("parcels/")] == ["consignments/renamed_from.json"]


def test_people_find_it_by_any_of_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LocalStore(tmp_path / "store")
    folder = tmp_path / "models" / "parcels"
    run_chain(store, declare(folder), folder, month(4))
    monkeypatch.setenv("RATCHET_STORE", store.url)
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))
    champion = Ledger(store, "parcels").timeline().champion
    folder = rename(folder, "consignments", "parcels")
    assert "renamed from parcels" in ledger_queries.history("consignments", None), "before it ran under the new name"
    assert "renamed" not in ledger_queries.history("parcels", None)
    assert registry.models(NOW).splitlines()[-1].split()[:3] == ["consignments", "classification", champion]
    assert registry.verify("consignments", lambda said: None)
    with pytest.raises(Exception, match="no champion"):
        load_champion("consignments")

    folder = rename(folder, "shipments", "[parcels, consignments]")
    model = load_model(folder / "model.yaml")
    record_names(store, model)
    record_names(store, model)
    for name in ("parcels", "consignments", "shipments"):
        assert load_champion(name).id == champion and stored_name(store, name) == "parcels"


def test_one_renamed_in_the_wrong_order_is_refused_before_it_begins_a_second_history(tmp_path: Path) -> None:
    store, folder = LocalStore(tmp_path / "store"), tmp_path / "parcels"
    run_chain(store, declare(folder), folder, month(4))
    folder = rename(folder, "shipments", "[consignments, parcels]")
    with pytest.raises(ConfigError, match="Two names of shipments have a history") as refused:
        record_names(store, load_model(folder / "model.yaml"))
    assert "parcels/ledger" in str(refused.value)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("[parcels, parcels]", "each former name once"),
        ("shipments", "takes it off the list"),
        ("Parcels", "string should match pattern"),
        ("7", "valid tuple"),
    ],
)
def test_a_name_that_can_not_have_been_its_former_one_is_refused(tmp_path: Path, names: str, said: str) -> None:
    declare(tmp_path / "parcels")
    folder = rename(tmp_path / "parcels", "shipments", names)
    with pytest.raises(ConfigError, match=said):
        load_model(folder / "model.yaml")


def test_a_former_name_that_another_declaration_has_is_refused_and_the_other_goes_on(tmp_path: Path) -> None:
    declare(tmp_path / "parcels")
    shutil.copytree(tmp_path / "parcels", tmp_path / "letters")
    rename(tmp_path / "letters", "letters", "parcels")
    (models, (broken,)) = load_models(tmp_path)
    assert [model.declared_name for model in models] == ["parcels"] and broken.name == "letters"
    assert "Two models have the same name" in str(broken.error) and "letters/model.yaml:2" in str(broken.error)
    with pytest.raises(ConfigError, match="`parcels`, which parcels/model.yaml also has"):
        lint(tmp_path / "letters" / "model.yaml", now=NOW, with_rows=False)
    assert not load_models(tmp_path, only="letters")[0], "nor does a task parse it"
    (tmp_path / "parcels").rename(tmp_path / "bills")
    rename(tmp_path / "bills", "bills", "parcels")
    assert [one.name for one in load_models(tmp_path)[1]] == ["bills", "letters"], "two with one history: neither"


def test_to_stored_forms_it_is_the_model_that_it_was(tmp_path: Path) -> None:
    before = declare(tmp_path / "parcels")
    after = load_model(rename(tmp_path / "parcels", "shipments", "parcels") / "model.yaml")
    assert after.identity == before.identity
    assert "renamed_from" not in before.to_json()
    for form in (canonical_json(after.to_json()), after.model_dump_json(by_alias=True).encode()):
        assert (ModelConfig.from_stored(form).name, ModelConfig.from_stored(form)) == ("parcels", after)


def test_an_auditors_pack_of_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from include.audit.pack import make_pack

    signing(tmp_path, monkeypatch)
    store, folder = LocalStore(tmp_path / "store"), tmp_path / "parcels"
    run_chain(store, declare(folder), folder, month(4))
    folder = rename(folder, "shipments", "parcels")
    version = run_chain(store, load_model(folder / "model.yaml"), folder, month(7))["select"]
    path = tmp_path / "pack.zip"
    path.write_bytes(make_pack(Ledger(store, "parcels"), version))
    trusted = tmp_path / "trusted.json"
    assert check_pack([str(path), "--trusted", str(trusted)]) == 0
