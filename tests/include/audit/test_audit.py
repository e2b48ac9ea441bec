"""An audit looks at all that a ledger names, in parts of a declared cost, and what it finds stands until it is right again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_run import NOW
from signed_world import SignedWorld

from include.audit.audit import audit, steps_of
from include.audit.audit_log import AuditLog, AuditRun
from include.storage.store import ObjectStore
from tests.faults import FaultyStore, Killed
from tests.worlds import MemoryStore

ALL = 100_000


def look(world: SignedWorld, run: str, calls: int = ALL, store: ObjectStore | None = None) -> AuditRun:
    return audit(store or world.store, world.model, world.folder, run=run, calls=calls, at=NOW)


def standing(world: SignedWorld) -> dict[str, str]:
    return dict(AuditLog(world.store, "parcels").state().wrong)


def test_a_sound_store_is_found_sound_in_one_run_that_may_cost_enough(signed_world: SignedWorld) -> None:
    found = look(signed_world, "one")
    assert found.complete and not found.wrong and len(found.looked) == found.total
    names = " ".join(found.looked)
    for what in ("the chain", "the signatures", "answers under tripwires", "the decision on", "golden rows of"):
        assert what in names
    state = AuditLog(signed_world.store, "parcels").state()
    assert state.completed == NOW and state.next_step == 0
    counted = FaultyStore(signed_world.store)
    assert look(signed_world, "one", store=counted) == found and counted.calls <= 4, (
        "a repeated run finds what it found"
    )


def test_runs_that_may_cost_little_go_on_where_the_last_ended(signed_world: SignedWorld) -> None:
    steps = [step.name for step in steps_of(signed_world.ledger, signed_world.model, signed_world.folder)]
    looked: list[str] = []
    runs = []
    while len(looked) < len(steps):
        runs.append(look(signed_world, f"run {len(runs)}", 40))
        looked += runs[-1].looked
    assert looked == steps and len(runs) > 2
    assert runs[-1].complete and not any(run.complete for run in runs[:-1])
    for run in runs[:-1]:
        assert run.calls >= 40, "it used what it may cost"
    assert look(signed_world, "anew", 40).first == 0


def remove(world: SignedWorld, prefix: str) -> None:
    path = world.path(next(iter(world.store.list(prefix))))
    path.unlink()


def flip(world: SignedWorld, prefix: str) -> None:
    path = world.path(next(iter(world.store.list(prefix))))
    body = path.read_bytes()
    path.write_bytes(body[:-9] + bytes([body[-9] ^ 1]) + body[-8:])


DAMAGE: dict[str, tuple[Callable[[SignedWorld], None], str]] = {
    "a model file": (
        lambda w: flip(w, f"parcels/models/{w.ledger.version(w.champion).model_file}"),
        "the decision on|Z-",
    ),
    "rows": (lambda w: remove(w, "parcels/partitions/"), "Z-"),
    "evidence": (lambda w: flip(w, f"parcels/evidence/{w.statements(w.champion)[0].stem[:8]}"), "Z-|the decision on"),
    "golden rows": (lambda w: remove(w, f"parcels/golden/{w.champion}"), "golden rows of"),
    "a signature": (lambda w: remove(w, "parcels/heads/00000001"), "the signatures"),
    "the newest event": (lambda w: remove(w, f"parcels/ledger/{len(w.ledger.entries()) - 1:08d}"), "the chain"),
    "an answer": (lambda w: flip(w, "parcels/tripwires/"), "answers under tripwires"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_found_and_stands_until_it_is_right_again(
    signed_world: SignedWorld, tmp_path: Path, name: str
) -> None:
    backup = tmp_path / "backup"
    shutil.copytree(signed_world.store.root, backup)
    damage, step = DAMAGE[name]
    damage(signed_world)
    found = look(signed_world, "after")
    assert found.wrong and any(part in one for one in found.wrong for part in step.split("|")), found.wrong
    assert standing(signed_world) == found.wrong
    for path in backup.rglob("*"):
        to = signed_world.store.root / path.relative_to(backup)
        if path.is_file() and (not to.exists() or to.read_bytes() != path.read_bytes()):
            if to.exists():
                to.chmod(0o644)
            shutil.copyfile(path, to)
    assert not look(signed_world, "restored").wrong
    assert not standing(signed_world)


def test_an_audit_that_is_killed_anywhere_says_nothing_and_begins_again(
    signed_world: SignedWorld, tmp_path: Path
) -> None:
    counted = FaultyStore(signed_world.copy(tmp_path / "other").store)
    expected = look(signed_world, "run", 40, counted)
    for n in range(1, counted.calls - 5, 7):
        with pytest.raises(Killed):
            look(signed_world, "run", 40, FaultyStore(signed_world.store, fail_at=n))
        assert AuditLog(signed_world.store, "parcels").state().last is None
    assert look(signed_world, "run", 40) == expected


def test_an_unreadable_ledger_that_an_earlier_release_found_is_right_once_its_chain_is(
    signed_world: SignedWorld,
) -> None:
    audits = AuditLog(signed_world.store, "parcels")
    audits.keep(AuditRun("before", 0, 0, 1, 2, {"the ledger": "it is gone"}, ("the ledger",)), at=NOW)
    assert standing(signed_world)
    assert not look(signed_world, "restored").wrong
    assert not standing(signed_world)


def test_the_log_of_audits_reads_what_it_wrote(signed_world: SignedWorld) -> None:
    run = AuditRun("r", 0, 3, 9, 41, {"a": "b"}, ("a", "c"))
    assert AuditRun.from_json(run.to_json()) == run
    kept: Any = AuditLog(signed_world.store, "parcels").keep(run, at=NOW)
    assert kept == run and AuditLog(signed_world.store, "parcels").state().next_step == 4


def test_a_finding_about_what_the_ledger_no_longer_names_ends_with_the_next_whole_audit() -> None:
    audits = AuditLog(MemoryStore(), "parcels")

    def run(first: int, looked: str, total: int, wrong: str = "") -> list[str]:
        names, found = tuple(looked.split()), dict.fromkeys(wrong.split(), "it is forged")
        run = AuditRun(f"run {looked} {total} {wrong}", first, first + len(names) - 1, total, 1, found, names)
        audits.keep(run, at=NOW)
        return [name for name, _ in audits.state().wrong]

    assert run(0, "a b forged", 3, "b forged") == ["b", "forged"]
    assert run(0, "a", 2) == ["b", "forged"], "not whole yet"
    assert run(1, "b", 2, "b") == ["b"]
    audits.keep(AuditRun("unreadable", 0, 0, 1, 1, {"the chain": "it is broken"}, ("the chain",)), at=NOW)
    assert [name for name, _ in audits.state().wrong] == ["b", "the chain"]
