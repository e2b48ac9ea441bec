from __future__ import annotations

import os

import pytest

from include.config.code import code_digest, load_function
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
