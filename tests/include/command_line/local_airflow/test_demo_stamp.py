from __future__ import annotations

from pathlib import Path

import pytest

from include.command_line.local_airflow.demo_stamp import inputs_digest, is_current, write_stamp
from include.storage.local import LocalStore
from include.storage.log import Log


@pytest.fixture
def events(local_store: LocalStore) -> Log:
    log = Log(local_store, "m/ledger/")
    for _ in range(2):
        log.append(lambda _: ("registered", {}), at="2013-05-01T00:00:00Z")
    return log


def test_the_same_demo_need_not_run_again(tmp_path: Path, events: Log):
    write_stamp(tmp_path / "demo.json", "a", events.read())
    assert is_current(tmp_path / "demo.json", "a", events.read())


def test_what_was_put_on_record_since_does_not_matter(tmp_path: Path, events: Log):
    write_stamp(tmp_path / "demo.json", "a", events.read())
    events.append(lambda _: ("withdrawn", {}), at="2013-05-02T00:00:00Z")
    assert is_current(tmp_path / "demo.json", "a", events.read())


def test_it_runs_again_when_anything_it_follows_from_changed(tmp_path: Path, events: Log):
    write_stamp(tmp_path / "demo.json", "a", events.read())
    assert not is_current(tmp_path / "demo.json", "b", events.read())
    assert not is_current(tmp_path / "demo.json", "a", events.read()[:1])
    assert not is_current(tmp_path / "demo.json", "a", ())
    assert not is_current(tmp_path / "none.json", "a", events.read())


def test_a_declaration_or_its_code_is_part_of_the_inputs(tmp_path: Path):
    code = tmp_path / "m" / "features.py"
    code.parent.mkdir()
    code.write_text("a = 1")
    before = inputs_digest(tmp_path, "file:///store")
    assert inputs_digest(tmp_path, "file:///store") == before
    code.write_text("a = 2")
    assert inputs_digest(tmp_path, "file:///store") != before
    code.write_text("a = 1")
    assert inputs_digest(tmp_path, "file:///other") != before
