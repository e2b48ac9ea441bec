"""Code on record: kept with all that it needs, restored as it was, and never outside its folder."""

from __future__ import annotations

import pytest

from include.config.code import code_digest, code_files, load_function
from include.errors import ObjectCorrupt, ObjectMissing
from include.storage.content import canonical_json, put_content
from include.training.provenance import code_on_record, keep_code


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "lib").mkdir(parents=True)
    (folder / "features.py").write_text("from .lib.calc import total\ndef derive():\n    return total()\n")
    (folder / "lib" / "calc.py").write_text(
        "from pathlib import Path\ndef total():\n    return Path(__file__).with_name('table.csv').read_text()\n"
    )
    (folder / "lib" / "table.csv").write_text("then")
    return folder


def test_code_in_folders_is_kept_and_restored_with_its_tables(folder, local_store) -> None:
    digest = keep_code(local_store, "toy", code_files(folder, "features"))
    assert digest == code_digest(folder, "features")
    (folder / "lib" / "table.csv").write_text("now")
    with code_on_record(local_store, "toy", digest, ("features:derive",), folder) as code:
        assert code != folder and load_function(code, "features:derive")() == "then"
        assert load_function(folder, "features:derive")() == "now"
    assert not code.exists()


def test_code_that_is_unchanged_is_used_where_it_is(folder, local_store) -> None:
    digest = code_digest(folder, "features")
    with code_on_record(local_store, "toy", digest, ("features:derive",), folder) as code:
        assert code == folder


@pytest.mark.parametrize("name", ["../evil.py", "/tmp/evil.py", "lib/../../evil.py"])
def test_a_list_of_code_that_leaves_its_folder_is_refused(folder, local_store, name) -> None:
    body = put_content(local_store, "toy/code", ".py", b"1 / 0")
    digest = put_content(local_store, "toy/code", ".json", canonical_json({name: body}))
    with (
        pytest.raises(ObjectCorrupt, match="outside"),
        code_on_record(local_store, "toy", digest, ("features:derive",), folder),
    ):
        pass


def test_code_that_was_not_kept_is_missing(folder, local_store) -> None:
    with pytest.raises(ObjectMissing), code_on_record(local_store, "toy", "0" * 64, ("features:derive",), folder):
        pass
