"""What the documents tell people to type works as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from chain_run import NOW, declare, month, run_chain
from sklearn.datasets import load_breast_cancer
from typer.main import get_command
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.load import load_model
from include.config.settings import ROOT
from include.data.windows import Window
from include.scoring.score import ingest_interval, score
from include.storage.local import LocalStore

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRAPPED = re.compile(r'make airflow ARGS="((?:[^"\\]|\\.)*)"')
CONTAINED = re.compile(r"docker-compose exec \S+ airflow (.+)")
FENCED = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
MADE = re.compile(r"(?:^|\$ )make( [a-z].*)")
ASKED = re.compile(r"(?:^|.*[\s/])python -m include (.+)")
WAITS = {"serve", "metrics", "up", "demo", "airflow"}
"""Commands that answer until they are ended, or start an Airflow; tests/system and tests/include/serving run them."""
ABROAD = {"deploy", "images", "mirror"}
"""Commands that speak with a platform or server; tests of serving, mirror and command_line/supply_chain run them."""


def commands() -> list[tuple[str, str]]:
    """Return Airflow's commands in the documents, as a shell would hand them over, with the page that has each."""
    found = []
    for page in PAGES:
        text = page.read_text()
        found += [(page.name, re.sub(r"\\(.)", r"\1", args)) for args in WRAPPED.findall(text)]
        found += [(page.name, line.partition("#")[0].strip(" `")) for line in CONTAINED.findall(text)]
    return found


def test_no_document_has_a_bare_command_of_airflow() -> None:
    for page in PAGES:
        # Of code alone, not of sentences about Airflow.
        code = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
        code += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
        for line in "\n".join(code).splitlines():
            bare = re.match(r"airflow (backfill|dags|tasks|db|connections|variables|users) ", line.strip())
            assert bare is None, f"{page.name}: {line}"


def test_every_command_in_the_documents_is_one_that_airflow_takes(in_airflow: Callable[..., Any]) -> None:
    asked = commands()
    assert {"README.md", "backfill.md", "operate.md", "compose.md"} <= {page for page, _ in asked}
    script = (
        "import shlex\nfrom airflow.cli.cli_parser import get_parser\n"
        "answer(len([get_parser().parse_args(shlex.split(line)) for line in sys.argv[1:]]))"
    )
    assert in_airflow(script, *(line for _, line in asked)) == len(asked)


@pytest.mark.system
def test_the_wrapper_works_before_anything_was_started_and_leaves_no_stray_airflow(tmp_path: Path) -> None:
    for line in ("dags reserialize", *(line for page, line in commands() if page == "backfill.md")):
        done = subprocess.run(
            [sys.executable, "-m", "include", "airflow", "--home", str(tmp_path / "local"), *shlex.split(line)],
            cwd=ROOT, env={**os.environ, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    assert not (tmp_path / "airflow").exists()


def test_make_hands_a_commands_words_over_as_they_are(tmp_path: Path) -> None:
    (line,) = (line for page, line in commands() if page == "operate.md" and "--conf" in line)
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", "airflow", f"ARGS={line}"], cwd=ROOT, capture_output=True, text=True
    )
    (typed,) = (said for said in done.stdout.splitlines() if "-m include airflow" in said)
    assert shlex.split(typed)[4:] == shlex.split(line)
    assert shlex.split(line)[-1] == '{"reason": "wrong labels in June"}'


def code() -> list[tuple[str, str]]:
    """Return the lines of code in the documents, comments taken away, with the page that has each."""
    found = []
    for page in PAGES:
        text = page.read_text()
        fenced = [line for block in FENCED.findall(text) for line in block.splitlines()[1:-1]]
        rest = FENCED.sub("", text)
        inline = [" ".join(words.split()) for words in re.findall(r"`([^`]+)`", rest)]
        lines = [*fenced, *re.findall(r"^    (\S.*)$", rest, re.MULTILINE), *inline]
        found += [(page.name, re.split(r"\s#\s|\s{3,}#", line)[0].strip()) for line in lines]
    return found


def asked() -> list[tuple[str, list[str]]]:
    """Return the commands ``python -m include`` of the documents as lists of words, what stands for something filled in."""
    meant = {
        "<name>": "flight_delay",
        "<file.csv>": "tumours.csv",
        "people.csv": "people.csv",
        "<column>": "diagnosis",
        "/etc/ratchet/signing.pem": "signing.pem",
        "<model.yaml>": "model.yaml",
    }
    lines = [(page, said.group(1).partition(" >")[0]) for page, line in code() if (said := ASKED.match(line))]
    lines = [(page, re.sub(r'"origin/\$[^"]+"|FETCH_HEAD', "main", line)) for page, line in lines]  # a base branch
    words = [
        (page, shlex.split(line.replace("[MODEL ...]", "<name>").replace("MODEL", "<name>")))
        for page, line in lines
        if line != "..."
    ]
    return [(page, [meant.get(word, word) for word in line]) for page, line in words]


def test_every_target_of_make_in_the_documents_is_there() -> None:
    lines = {said.group(1).strip() for _, line in code() if (said := MADE.match(line))}
    assert {"demo", "up", "serve", "test", "check", "bench", "clean", "docs", "screenshots"} <= lines
    for line in sorted(lines):
        done = subprocess.run(["make", "--dry-run", *shlex.split(line)], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"make {line}: {done.stderr}"


def test_what_make_offers_in_its_help_is_there_and_nothing_else_is() -> None:
    text = (ROOT / "Makefile").read_text()
    offered = set(re.findall(r"echo 'make ([a-z]+) ", text))
    phony = {name for names in re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE) for name in names.split()}
    assert offered == phony - {"help", "lint"}


def test_every_command_in_the_documents_is_one_that_include_takes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("tumours.csv", "people.csv", "model.yaml", "other-model.yaml", "server.pem", "server.key"):
        (tmp_path / file).write_text("")
    (tmp_path / "include" / "models" / "tumours").mkdir(parents=True)
    (tmp_path / "include" / "models" / "tumours" / "model.yaml").write_text("")
    group = get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    pages = set()
    for page, (name, *words) in asked():
        assert name in group.commands, f"{page}: {name}"
        if words:
            group.commands[name].make_context(name, [*words])
        pages.add(page)
    assert {"README.md", "add-a-model.md", "backfill.md", "compose.md", "questions.md", "serving.md"} <= pages


def test_every_command_in_the_documents_does_what_it_says(tmp_path: Path, monkeypatch) -> None:
    """On a small model of that name."""
    models = tmp_path / "include" / "models"
    declare(models / "parcels")
    path = (models / "parcels").rename(models / "flight_delay") / "model.yaml"
    path.write_text(path.read_text().replace("name: parcels", "name: flight_delay"))
    model = load_model(path)
    run_chain(LocalStore(tmp_path / "store"), model, models / "flight_delay", month(4))
    table = load_breast_cancer(as_frame=True)
    table.data.assign(diagnosis=table.target.map({0: "malignant", 1: "benign"})).to_csv(
        tmp_path / "tumours.csv", index=False
    )
    (tmp_path / "people.csv").write_text("parcel\n0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RATCHET_MODELS", str(models))
    monkeypatch.setenv("RATCHET_STORE", (tmp_path / "store").as_uri())
    monkeypatch.setenv("RATCHET_STAGES", f"production={(tmp_path / 'production').as_uri()}")
    (tmp_path / "other-model.yaml").write_text(path.read_text().replace("confidence: 0.9", "confidence: 0.99"))
    for command in (
        "init -q -b main",
        "add -A",
        "-c user.name=a -c user.email=a@b.c commit -qm a",
        "update-ref refs/remotes/origin/main main",
    ):
        subprocess.run(["git", "-C", models, *command.split()], check=True)  # for `review`
    run = [words for _, words in asked() if words[0] not in WAITS | ABROAD]
    answered = []
    for words in dict.fromkeys(map(tuple, run)):
        at = models / "flight_delay" if "model.yaml" in words else tmp_path
        monkeypatch.chdir(at)
        if words in (("versions",), ("verify",)):
            words = (*words, "flight_delay")  # a sentence names the command alone
        if words[:2] == ("new", "flight_delay"):
            words = ("new", "another", *words[2:])
        if words[0] in ("readings", "retract"):  # of a partition that is on record here
            listed = CliRunner().invoke(app, ["readings", "flight_delay", "2024-02"]).output.split()
            here = {"2013-04": "2024-02", "3f2a9c1e": next(one for one in listed if re.fullmatch("[0-9a-f]{12}", one))}
            words = tuple(here.get(word, word) for word in words)
        words = tuple((tmp_path / "backup").as_uri() if word == "s3://backup/ratchet" else word for word in words)
        if words[0] == "tensorboard" and find_spec("tensorboardX") is None:
            continue  # optional; tests/include/command_line/test_tensorboard.py says what is told then
        done = CliRunner().invoke(app, list(words))
        if words[0] == "rebuild":  # tests/system/test_library_upgrade.py has other libraries
            assert "There is nothing to rebuild" in str(done.exception)
            continue
        assert done.exit_code == 0, f"{words}: {done.output}{done.exception!r}"
        if words[0] == "key":  # from here on ledgers are signed, as `sign` makes them
            (tmp_path / "trusted.json").write_text(f"[{done.output}]")
            monkeypatch.setenv("RATCHET_TRUSTED_KEYS", str(tmp_path / "trusted.json"))
            monkeypatch.setenv("RATCHET_SIGNING_KEY", str(at / words[1]))
        answered.append(words[0])
    assert {"history", "replay", "new", "lint", "plan", "token", "models", "versions"} <= set(answered)


def test_the_python_of_the_documents_runs(tmp_path: Path, monkeypatch) -> None:
    """On a small model of that name, with scores of the day; docs/extend.md has a test of its own."""
    folder, store = tmp_path / "models" / "flight_delay", LocalStore(tmp_path / "store")
    model = declare(folder, name="flight_delay")
    run_chain(store, model, folder, month(4))
    day = Window(datetime(2024, 8, 1, tzinfo=UTC), datetime(2024, 8, 2, tzinfo=UTC))
    snapshot = ingest_interval(store, model, folder, day, at=NOW, connections=None)  # type: ignore[arg-type]
    published = score(store, model, folder, snapshot, at=NOW)
    assert published is not None
    monkeypatch.setenv("RATCHET_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("RATCHET_STORE", store.url)
    ran = {}
    for page in PAGES:
        for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE):
            if page.name != "extend.md":
                here = block.replace("s3://bucket/prefix", store.url).replace("2013", "2024")
                ran[page.name] = {"frame": pd.read_parquet(folder / "rows.parquet").head(3)}
                exec(compile(here, page.name, "exec"), ran[page.name])
    assert set(ran) == {"backfill.md", "evaluation.md", "operate.md", "questions.md"}
    assert len(ran["operate.md"]["scores"]) == published.rows > 0
    assert ran["evaluation.md"]["of"](pd.DataFrame({"amount": [5.0, 7.0]}), 1, pd.Series([1, 0])).tolist() == [0, 7]
