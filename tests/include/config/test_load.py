"""A mistake in model.yaml is answered with file, line, field, expected, found and the nearest spelling."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.config.load import load_model, load_models
from include.config.model import ModelConfig
from include.config.sections.rows.lake import IcebergSource
from include.config.settings import ROOT, Settings
from include.config.yaml_text import read_yaml
from include.errors import ConfigError
from include.storage.content import canonical_json, read_json

SHIPPED = (ROOT / "include" / "models" / "flight_delay" / "model.yaml").read_text()
DIABETES = (ROOT / "include" / "models" / "diabetes_progression" / "model.yaml").read_bytes()


def declare(folder: Path, text: str, name: str = "flight_delay") -> Path:
    path = folder / name / "model.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def mistake(tmp_path: Path, before: str, after: str) -> str:
    assert before in SHIPPED
    with pytest.raises(ConfigError) as caught:
        load_model(declare(tmp_path, SHIPPED.replace(before, after, 1)))
    return str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("retrain:", "retrian:", "field schedule.retrian: unknown field; did you mean `retrain`?"),
        ("kind: time_series", "kind: timeseries", "did you mean `time_series`?"),
        (
            "kind: python",
            "kind: pyton",
            "expected `kind` to be one of 'files', 'sql', 'python', 'delta', 'iceberg', 'duckdb', 'spark', found 'pyton'",
        ),
        ("label_delay: 1d", "label_delay: 1 day", "expected a number and a unit: y, mo, w, d, h, min or s"),
        ("metric: roc_auc, rule", "metric: auc_roc, rule", "did you mean `roc_auc`?"),
        ("estimator: logistic_regression", "estimator: logistic_regresion", "did you mean `logistic_regression`?"),
        ("'@monthly'" if "'@monthly'" in SHIPPED else '"@monthly"', '"61 * * * *"', "expected a cron expression"),
        ("slice: origin", "slice: orign", "a guard names the slice `orign`"),
        ("numeric:\n    columns: [distance", "numeric:\n    columns: [late, distance", "a model would see the answer"),
        ("timezone: America/New_York", "timezone: America/New_Yrok", "expected an IANA time zone"),
        ("task: classification", "task: clasification", "did you mean `classification`?"),
        (
            "windows: {train: 4mo, holdout: 1mo}",
            "windows: {train: 4mo}",
            "field data.windows.holdout: expected this field",
        ),
        ("start: 2013-05-01", "start: 2014-05-01", "expected `end` at or after `start`"),
        ("slices: [origin", "block: 7d\n  slices: [origin", "expected at least 10 blocks of `evaluation.block`"),
        ("slices: [origin", "block: 0d\n  slices: [origin", "expected a `block` longer than nothing"),
        ("slices: [origin", "block: 1d\n  cluster: dest\n  slices: [origin", "expected `cluster` or `block`, not both"),
        ("name: flight_delay", "name: flight_delays", "A model's name and its folder's name differ"),
    ],
)
def test_a_mistake_is_answered_with_where_and_what(tmp_path, before, after, expected):
    message = mistake(tmp_path, before, after)
    assert expected in message
    assert "flight_delay/model.yaml:" in message


def test_the_line_of_a_mistake_is_named(tmp_path):
    line = next(number for number, text in enumerate(SHIPPED.splitlines(), 1) if "label_delay" in text)
    assert f"model.yaml:{line}, field data.label_delay:" in mistake(tmp_path, "label_delay: 1d", "label_delay: soon")


def test_all_mistakes_are_told_at_once(tmp_path):
    text = SHIPPED.replace("owner:", "ownr:").replace("folds: 1", "folds: none")
    with pytest.raises(ConfigError, match="has 3 mistakes"):
        load_model(declare(tmp_path, text))


def test_one_broken_model_never_hides_the_others(tmp_path):
    declare(tmp_path, SHIPPED)
    declare(tmp_path, "name: [", "broken")
    declare(tmp_path, "", "empty")
    models, broken = load_models(tmp_path)
    assert [model.name for model in models] == ["flight_delay"]
    assert [model.name for model in broken] == ["broken", "empty"]


BROKEN = SHIPPED.replace("name: flight_delay", "name: broken")
HARMFUL = {
    "braces of a template": b"description: {{ env }}\n",
    "a key that is a list": b"? [a]\n: 1\n",
    "a key that holds a list": b"{[1]: 2}\n",
    "an anchor that contains itself": b"name: &a [*a]\n",
    "a merge of itself": b"name: &a {<<: *a}\n",
    "a NUL byte": b"name: a\0b\n",
    "aliases of aliases": b"a0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (n, n, b"*a%d, " % (n - 1) * 9) for n in range(1, 12)),
    "brackets without end": b"[" * 100_000,
    "nesting without end": b"- " * 5000 + b"x\n",
    "another encoding": "name: é\n".encode("latin-1"),
    "an unpaired surrogate": b'name: "\\ud800"\n',
    "a number without end": b"name: " + b"9" * 5000 + b"\n",
    "a type of Python": b"name: !!python/name:os.system\n",
    "a value that is not of its type": b"name: !!int foo\n",
    "a set": b"name: !!set {a, b}\n",
    "nothing": b"",
    "a length of time beyond all calendars": BROKEN.replace("label_delay: 1d", f"label_delay: {'9' * 12}y").encode(),
    "a date before all calendars": BROKEN.replace("start: 2013-05-01", "start: 0001-01-01T00:00:00+14:00").encode(),
}  # fmt: skip


@pytest.mark.parametrize("body", HARMFUL.values(), ids=HARMFUL.keys())
def test_whatever_a_file_holds_the_other_models_are_returned(tmp_path, body):
    declare(tmp_path, SHIPPED)
    declare(tmp_path, "", "broken").write_bytes(body)
    models, broken = load_models(tmp_path)
    assert [model.name for model in models] == ["flight_delay"]
    assert [one.name for one in broken] == ["broken"]
    assert "broken/model.yaml" in str(broken[0].error)
    assert "can't be understood" not in str(broken[0].error)  # what is said of mistakes that nobody foresaw


def test_what_stands_in_place_of_a_file_hides_no_other_model(tmp_path):
    declare(tmp_path, SHIPPED)
    (tmp_path / "folder" / "model.yaml").mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "model.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "model.yaml")
    (tmp_path / "huge").mkdir()
    with (tmp_path / "huge" / "model.yaml").open("wb") as file:
        file.truncate(2**32)
    models, broken = load_models(tmp_path)
    assert [model.name for model in models] == ["flight_delay"]
    assert [one.name for one in broken] == ["folder", "huge", "link", "pipe"]


def test_a_folder_named_like_a_pattern_is_that_folder(tmp_path):
    declare(tmp_path, SHIPPED)
    declare(tmp_path, SHIPPED, "[f]light_delay")
    assert [one.name for one in load_models(tmp_path, only="[f]light_delay")[1]] == ["[f]light_delay"]


TOKENS = [b"&a ", b"*a", b"<<: *a", b"? ", b"[", b"]", b"{", b"}", b": ", b"- ", b"\n", b"\n  ", b"\t", b"!!int ", b"!x ", b"|\n", b'"', b"'",
          b"\0", b"\xff", b"\xe2\x80\xa8", b"#", b"%", b"@", b"---\n", b"1e999", b"-1", b".nan", b"~", b"true", b"0001-01-01", b"9" * 25]  # fmt: skip
MUTATION = st.tuples(
    st.integers(0, 10**6), st.integers(0, 40), st.one_of(st.sampled_from(TOKENS), st.binary(max_size=6))
)


@settings(
    max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mutated=st.sampled_from(["diabetes_progression", "flight_delay"]),
    mutations=st.lists(MUTATION, min_size=1, max_size=4),
)
def test_a_file_of_mutated_bytes_is_read_or_answered_and_hides_no_other(tmp_path, mutated, mutations):
    body = (ROOT / "include" / "models" / mutated / "model.yaml").read_bytes()
    for place, cut, put in mutations:
        place %= len(body) + 1
        body = body[:place] + put + body[place + cut :]
    for name, content in (("flight_delay", SHIPPED.encode()), ("diabetes_progression", DIABETES), (mutated, body)):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "model.yaml").write_bytes(content)
    models, broken = load_models(tmp_path)
    assert {model.name for model in models} | {mutated} == {"flight_delay", "diabetes_progression"}
    assert len(models) + len(broken) == 2
    unforeseen = [str(one.error) for one in broken if "can't be understood" in one.error.message]
    assert not unforeseen


def test_configuration_survives_its_json_form(tmp_path):
    model = load_model(declare(tmp_path, SHIPPED))
    assert ModelConfig.model_validate(model.to_json()) == model


def test_yaml_means_what_it_says():
    value, _ = read_yaml(
        "country: NO\nzip: 010\nrate: 1e-3\nwhen: 2013-05-01\nyes: yes\nn: ~\nx: -1.5\ni: 7\nb: true", "x"
    )
    assert value == {
        "country": "NO", "zip": "010", "rate": 0.001, "when": "2013-05-01", "yes": "yes", "n": None, "x": -1.5, "i": 7, "b": True,
    }  # fmt: skip


@pytest.mark.parametrize("number", ["9007199254740992", "[-9223372036854775808]", ".inf", "-.inf", ".nan", "1e999"])
def test_a_number_that_the_record_can_not_hold_is_answered_with_its_line(tmp_path, number):
    assert "max_value: 6000" in SHIPPED
    path = declare(tmp_path, SHIPPED.replace("max_value: 6000", f"max_value: {number}"))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if number in text)
    with pytest.raises(ConfigError, match="can't be kept|a whole number below") as caught:
        load_model(path)
    assert f"model.yaml:{line}" in str(caught.value)


def test_numbers_up_to_there_are_read_and_go_on_record():
    value, _ = read_yaml("n: 9007199254740991\nx: 1.0e+300\nz: -0.0", "x")
    assert read_json(canonical_json(value)) == {"n": 2**53 - 1, "x": 1e300, "z": 0}


def test_the_id_of_a_table_s_snapshot_goes_on_record_whatever_its_size():
    for number in (7, 5937117119577207079):
        source = IcebergSource(kind="iceberg", path="lake", snapshot=number)
        stored = canonical_json(source.said())
        assert IcebergSource.from_stored(stored) == source
    assert IcebergSource(kind="iceberg", path="lake", snapshot=7).said()["snapshot"] == 7, "as it was on record before"


def test_a_key_that_stands_twice_is_a_mistake():
    with pytest.raises(ConfigError, match=r"`b` stands twice") as caught:
        read_yaml("a:\n  b: 1\n  c: 2\n  b: 3", "model.yaml")
    assert "lines 2 and 4" in str(caught.value)


def test_text_that_is_not_yaml_is_answered_with_its_line():
    with pytest.raises(ConfigError, match=r"model\.yaml:2"):
        read_yaml("a: 1\nb: @x", "model.yaml")


def test_yaml_can_not_build_objects():
    with pytest.raises(ConfigError):
        read_yaml("a: !!python/object/apply:os.system ['true']", "model.yaml")


@pytest.mark.parametrize(
    ("name", "value"), [("RATCHET_STORE", "ftp://x"), ("RATCHET_STORE", "store"), ("RATCHET_THREADS", "0")]
)
def test_a_setting_that_is_not_understood_is_named(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        Settings.from_environment()


def test_files_in_which_a_key_can_not_stand_are_passed_over_and_no_other(tmp_path):
    spelt = {"plain": "audit: '@daily', ", "escaped": '"\\x61udit": "@daily", ', "without": "", "broken": "audit: [, "}
    for name, more in spelt.items():
        named = SHIPPED.replace("name: flight_delay", f"name: {name}", 1)
        declare(tmp_path, named.replace("schedule: {", f"schedule: {{{more}", 1), name)
    (tmp_path / "folder" / "model.yaml").mkdir(parents=True)
    models, broken = load_models(tmp_path, naming="audit")
    assert [model.name for model in models] == ["escaped", "plain"], broken
    assert all(model.schedule.audit is not None for model in models)
    assert [one.name for one in broken] == ["broken", "folder"]
