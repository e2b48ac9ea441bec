"""What a folder adds to the promises of a store: durability, kills, symbolic links."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from include.errors import ObjectMissing, StoreError, StoreUnavailable
from include.storage import local
from include.storage.local import LocalStore
from tests.store_faults import HalfRead

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from include.storage.local import LocalStore

def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

owner, name = {"os.link": (os, "link"), "os.fsync": (os, "fsync"), "Path.unlink": (Path, "unlink")}[sys.argv[2]]
setattr(owner, name, die)
LocalStore(Path(sys.argv[1])).put_if_absent("model/a", b"x" * 3_000_000)
"""


def killed_at(call: str, store: LocalStore) -> None:
    """Put an object in a process of its own that gets kill -9 when it comes to ``call``."""
    died = subprocess.run([sys.executable, "-c", KILLED_AT, store.root, call], cwd=Path(__file__).parents[3])
    assert died.returncode == -signal.SIGKILL


@pytest.mark.parametrize("call", ["os.fsync", "os.link"])
def test_a_writer_killed_before_the_link_leaves_nothing_visible(local_store: LocalStore, call: str) -> None:
    killed_at(call, local_store)
    assert [path for path in local_store.root.rglob("*") if path.is_file()], "it was killed before it wrote anything"
    assert list(local_store.list("")) == []
    assert not local_store.exists("model/a")
    with pytest.raises(ObjectMissing):
        local_store.get("model/a")
    assert local_store.put_if_absent("model/a", b"again")
    assert local_store.get("model/a") == b"again"


def test_a_writer_killed_after_the_link_has_written_all(local_store: LocalStore) -> None:
    killed_at("Path.unlink", local_store)
    assert list(local_store.list("")) == ["model/a"]
    assert local_store.get("model/a") == b"x" * 3_000_000
    assert not local_store.put_if_absent("model/a", b"again")


def test_what_a_killed_writer_left_is_removed_a_day_later(local_store: LocalStore) -> None:
    killed_at("os.link", local_store)
    (left,) = local_store.root.glob("~writing/*")
    local_store.put_if_absent("model/b", b"")
    assert left.exists(), "it could still be written to"
    written = left.stat().st_mtime
    os.utime(left, (written, written - 25 * 3600))
    local_store.put_if_absent("model/c", b"")
    assert list(local_store.root.glob("~writing/*")) == []


def test_bytes_are_synced_before_the_name_and_the_name_before_the_answer(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link

    def spy_fsync(handle: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name}")
        fsync(handle)

    def spy_link(source: Path, target: Path) -> None:
        done.append(f"link {source.name}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", spy_fsync)
    monkeypatch.setattr(os, "link", spy_link)
    local_store.put_if_absent("model/ledger/a", b"x")
    part = done[0].removeprefix("sync ")
    assert done == [f"sync {part}", f"link {part}", "sync ledger", "sync model", "sync store"]

    done.clear()
    assert not local_store.put_if_absent("model/ledger/a", b"x")
    assert done == ["sync ledger", "sync model", "sync store"], "who wrote it may be dead before its own sync"


def test_a_folder_that_leads_out_of_the_store_is_refused(local_store: LocalStore, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    local_store.root.mkdir()
    (local_store.root / "model").symlink_to(outside)
    for call in (
        lambda: local_store.get("model/secret"),
        lambda: local_store.exists("model/secret"),
        lambda: local_store.put_if_absent("model/new", b"x"),
        lambda: local_store.put_if_absent("model/deep/new", b"x"),
        lambda: list(local_store.list("model/")),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            call()
    assert list(local_store.list("")) == []
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.mark.parametrize("target", ["secret", "not there"])
def test_a_file_that_leads_out_of_the_store_is_refused(local_store: LocalStore, tmp_path: Path, target: str) -> None:
    (tmp_path / "secret").write_bytes(b"s")
    local_store.put_if_absent("model/a", b"")
    (local_store.root / "model" / "link").symlink_to(tmp_path / target)
    for call in (
        lambda: local_store.get("model/link"),
        lambda: local_store.exists("model/link"),
        lambda: local_store.put_if_absent("model/link", b"x"),
    ):
        with pytest.raises(StoreError, match="symbolic link"):
            call()
    assert list(local_store.list("")) == ["model/a"]
    assert not (tmp_path / "not there").exists()


def test_the_store_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    assert LocalStore(tmp_path / "link").put_if_absent("a", b"x")
    assert LocalStore(tmp_path / "disk").get("a") == b"x"


@pytest.mark.parametrize(("first", "second"), [("model/a", "model/a/b"), ("model/a/b", "model/a")])
def test_a_key_that_is_the_folder_of_another_is_refused(local_store: LocalStore, first: str, second: str) -> None:
    assert local_store.put_if_absent(first, b"x")
    with pytest.raises(StoreError, match="folder of another") as caught:
        local_store.put_if_absent(second, b"x")
    assert not isinstance(caught.value, StoreUnavailable), "no retry can help"


def test_a_disk_that_fails_is_unavailable(local_store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreUnavailable, match="No space left"):
        local_store.put_if_absent("model/a", b"x")
    monkeypatch.undo()
    assert not local_store.exists("model/a")


def test_a_disk_that_fails_does_not_pass_for_one_without_the_object(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.put_if_absent("model/a", b"x")

    def broken(path: object, **how: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(os, "stat", broken)
        with pytest.raises(StoreUnavailable, match="Input/output error"):
            local_store.exists("model/a")
    assert local_store.exists("model/a") and not local_store.exists("model/b") and not local_store.exists("model/a/c")


def test_a_file_that_ends_early_is_no_object_and_is_asked_for_again(
    local_store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_store.put_if_absent("model/a", b"whole")
    with monkeypatch.context() as failing:
        failing.setattr(local, "open", HalfRead, raising=False)
        with pytest.raises(StoreUnavailable, match="not read to its end"):
            local_store.get("model/a")
    assert local_store.get("model/a") == b"whole"


def test_files_that_are_no_objects_are_not_listed(local_store: LocalStore) -> None:
    local_store.put_if_absent("model/a", b"")
    for name in (".DS_Store", "model/.nfs0001", "model/a~", "model/a b"):
        (local_store.root / name).write_bytes(b"")
    assert list(local_store.list("")) == ["model/a"]
