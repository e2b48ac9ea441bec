"""A champion whose model file was deleted: the decision names it, and the ways out work."""

from __future__ import annotations

from pathlib import Path

from calls import World
from chain_run import NOW

from include.registry.gate.judgement import judge
from include.registry.ledger import Ledger
from include.registry.rollback import roll_back
from include.registry.versions import load_version


def test_a_champion_whose_file_was_deleted_is_named_with_a_way_out_that_works(tmp_path: Path) -> None:
    world = World(tmp_path, ["no", "yes"], "accuracy")
    world.run(4)
    ledger = Ledger(world.store, "calls")
    champion = ledger.timeline().champion
    assert champion is not None
    file = f"{load_version(world.store, 'calls', champion).model_file}.skops"
    (tmp_path / "store" / "calls" / "models" / file).unlink()
    evidence, done = world.run(5)
    assert done["gate"]["outcome"] == "INCOMPARABLE"
    reason = judge(world.model.gate, evidence, challenger_is_simple=True).reason
    assert reason.startswith(f"{champion} can't be compared: its model file is missing")
    assert file in reason and "rollback_calls" in reason
    roll_back(ledger, champion, "its file is gone", asked=NOW, actor={"dag": "rollback_calls", "run": "r"}, at=NOW)
    evidence, done = world.run(6)
    assert evidence.incumbent is None and done["gate"]["outcome"] == "PROMOTE"
