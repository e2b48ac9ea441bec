"""The pipelines of docs/ci.md are what their formats allow, and their one command reviews a repository of models."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from include.command_line.app import app
from include.config.settings import ROOT

PIPELINES = dict(
    re.findall(r"^## (.+?)\n.*?```\w+\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(), re.DOTALL | re.MULTILINE)
)
SCHEMAS = {"GitHub Actions": "github-workflows", "GitLab CI": "gitlab-ci", "CircleCI": "circle-ci"}


def test_every_pipeline_runs_the_same_command() -> None:
    assert set(PIPELINES) == {*SCHEMAS, "Jenkins"}
    for name, text in PIPELINES.items():
        assert len(re.findall(r"python -m include review --against \S", text)) == 1, name


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_pipeline_is_valid_by_the_schema_of_its_format(name: str, tmp_path: Path) -> None:
    file = tmp_path / "pipeline.yml"
    check = [Path(sys.executable).with_name("check-jsonschema"), "--builtin-schema", f"vendor.{SCHEMAS[name]}", file]
    file.write_text(PIPELINES[name])
    done = subprocess.run(check, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(re.sub(r"(?m)^ +(steps|script):", "      nonsense:", PIPELINES[name]))
    assert subprocess.run(check, capture_output=True).returncode == 1, "the schema would take anything"


def test_the_jenkinsfile_is_a_declarative_pipeline_in_groovy() -> None:
    tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter, of requirements-dev.txt, is not installed")
    grammar = pytest.importorskip(
        "tree_sitter_groovy", reason="tree-sitter-groovy, of requirements-dev.txt, is missing"
    )
    parser = tree_sitter.Parser(tree_sitter.Language(grammar.language()))
    text = PIPELINES["Jenkins"]
    root = parser.parse(text.encode()).root_node
    assert not root.has_error
    assert blocks(root) == ["pipeline", ["environment", "stages", ["stage", ["steps"], "stage", ["steps"]]]]
    for broken in (text.replace("}\n", "", 1), text.replace("'Install'", "'Install"), text.replace("'''", "''", 1)):
        assert parser.parse(broken.encode()).root_node.has_error, "the parser would take anything"


def blocks(node: Any) -> list[Any]:
    """Return the names of the blocks below a node of a syntax tree, each followed by the blocks inside it."""
    if node.type != "method_invocation":
        return [name for child in node.children for name in blocks(child)]
    inside = [name for child in node.children for name in blocks(child)]
    return [node.children[0].text.decode(), *([inside] if inside else [])]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A team's repository: two shipped models, committed on main."""
    for name in ("diabetes_progression", "aircraft_segments"):
        shutil.copytree(ROOT / "include" / "models" / name, tmp_path / "models" / name)
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path)
    return tmp_path


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True)


def commit(folder: Path) -> None:
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "Change the models")


def settings(folder: Path) -> dict[str, str]:
    return {"RATCHET_MODELS": "models", "RATCHET_STORE": f"file://{folder}/store"}


def reviewed(folder: Path, patch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str]:
    """Return the status of the command in this process, and what it says."""
    patch.chdir(folder)
    for name, value in settings(folder).items():
        patch.setenv(name, value)
    done = CliRunner().invoke(app, ["review", *arguments])
    return done.exit_code, f"{done.output}{done.exception}"


def test_a_change_is_linted_and_planned_and_a_broken_model_hides_no_other(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = repository / "models" / "diabetes_progression" / "model.yaml"
    file.write_text(file.read_text().replace("confidence: 0.95", "confidence: 0.9"))
    commit(repository)
    done = subprocess.run(
        [sys.executable, "-m", "include", "review", "--against", "main~1", "--no-rows"],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings(repository)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"gate\.primary\.confidence +0\.95 +0\.9", done.stdout)
    assert "## aircraft_segments: can be used" in done.stdout and "Its declaration did not change." in done.stdout

    file.write_text(file.read_text().replace("gate:", "gaet:"))
    (repository / "models" / "aircraft_segments").rename(repository / "models" / "segments")
    status, said = reviewed(repository, monkeypatch, "--against", "main~1", "--no-rows")
    assert status == 1
    assert "## diabetes_progression: CAN NOT BE USED" in said and "did you mean `gate`?" in said
    assert "## segments:" in said


def test_a_branch_that_is_not_there_is_named_with_the_remedy(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, said = reviewed(repository, monkeypatch, "--against", "origin/main", "--no-rows")
    assert status == 1
    assert "origin/main" in said and "shallow clone" in said
