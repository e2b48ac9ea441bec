from __future__ import annotations

import os

import pytest

from include.config.code import code_digest, code_files, load_function
from include.errors import CodeError


def test_two_models_may_both_have_a_file_of_one_name(tmp_path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "features.py").write_text(
            f"from .near import word\ndef derive():\n    return word + '{name}'\n"
        )
        (tmp_path / name / "near.py").write_text(f"word = '{name} is '\n")
    assert load_function(tmp_path / "one", "features:derive")() == "one is one"
    assert load_function(tmp_path / "two", "features:derive")() == "two is two"


def test_a_changed_file_is_seen_by_a_process_that_lives_on(tmp_path) -> None:
    for value in (1, 2):  # of the same size, and of the same second: what bytecode caches tell a file by
        (tmp_path / "features.py").write_text(f"def derive():\n    return {value}\n")
        os.utime(tmp_path / "features.py", (1_000_000_000, 1_000_000_000))
        assert load_function(tmp_path, "features:derive")() == value


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("feature:derive", "did you mean `features`"),
        ("features:deriv", "did you mean `features:derive`"),
        ("broken:derive", "ZeroDivisionError"),
        ("features:number", "no function `number`"),
    ],
)
def test_a_mistake_is_answered_with_what_is_there(tmp_path, name, message) -> None:
    (tmp_path / "features.py").write_text("number = 1\ndef derive():\n    return 1\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    with pytest.raises(CodeError, match=message):
        load_function(tmp_path, name)


def test_the_digest_of_code_is_that_of_names_and_bytes(tmp_path) -> None:
    (tmp_path / "source.py").write_text("from . import near\n")
    (tmp_path / "near.py").write_text("import far\n")
    (tmp_path / "far.py").write_text("x = 1\n")
    (tmp_path / "model.yaml").write_text("name: x\n")
    whole, reader = code_digest(tmp_path), code_digest(tmp_path, "source")
    assert whole == reader
    (tmp_path / "other.py").write_text("")
    assert code_digest(tmp_path) != whole
    assert code_digest(tmp_path, "source") == reader
    (tmp_path / "far.py").write_text("x = 2\n")
    assert code_digest(tmp_path, "source") != reader


def nested(folder) -> None:
    """Write a module that imports from folders beside it, in every way that Python has."""
    (folder / "lib" / "deep").mkdir(parents=True)
    (folder / "plain").mkdir()
    (folder / "data").mkdir()
    (folder / "features.py").write_text(
        "from .lib.calc import total\nfrom . import plain\nfrom .plain import parts\n"
        "def derive():\n    return total() + parts.number\n"
    )
    (folder / "lib" / "__init__.py").write_text("")
    (folder / "lib" / "calc.py").write_text(
        "from pathlib import Path\nfrom ..near import number\nfrom .deep.more import extra\n"
        "def total():\n    return number + extra + int(Path(__file__).with_name('table.csv').read_text())\n"
    )
    (folder / "lib" / "table.csv").write_text("1000")
    (folder / "lib" / "deep" / "more.py").write_text("from ...far import extra\n")
    (folder / "plain" / "parts.py").write_text("number = 1\n")
    (folder / "near.py").write_text("number = 10\n")
    (folder / "far.py").write_text("extra = 100\n")
    (folder / "data" / "rows.csv").write_text("not code")
    (folder / "lib" / "__pycache__").mkdir()
    (folder / "lib" / "__pycache__" / "calc.pyc").write_bytes(b"x")


def test_code_in_folders_counts_with_the_tables_beside_it_and_is_loaded(tmp_path) -> None:
    nested(tmp_path)
    assert load_function(tmp_path, "features:derive")() == 1111
    assert list(code_files(tmp_path, "features")) == [
        "far.py",
        "features.py",
        "lib/__init__.py",
        "lib/calc.py",
        "lib/deep/more.py",
        "lib/table.csv",
        "near.py",
        "plain/parts.py",
    ]
    assert "lib/table.csv" not in code_files(tmp_path) and "lib/calc.py" in code_files(tmp_path)


@pytest.mark.parametrize(
    ("edited", "text"),
    [
        ("lib/__init__.py", "from . import calc\ncalc.number = 11\n"),
        ("lib/deep/more.py", "extra = 7\n"),
        ("lib/table.csv", "2000"),
        ("plain/parts.py", "number = 2\n"),
        ("far.py", "extra = 200\n"),
    ],
)
def test_an_edit_in_a_folder_is_other_code_and_is_seen(tmp_path, edited, text) -> None:
    nested(tmp_path)
    before = code_digest(tmp_path, "features")
    assert load_function(tmp_path, "features:derive")() == 1111
    (tmp_path / edited).write_text(text)
    assert code_digest(tmp_path, "features") != before
    assert load_function(tmp_path, "features:derive")() != 1111


def test_a_folder_of_data_and_an_absolute_import_of_its_name_are_no_code(tmp_path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "rows.csv").write_text("1")
    (tmp_path / "features.py").write_text("try:\n    from datasets import x\nexcept ImportError:\n    x = 1\n")
    assert list(code_files(tmp_path, "features")) == ["features.py"]
