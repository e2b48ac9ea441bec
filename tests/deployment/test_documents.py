"""What the documents tell people to type works as it is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from include.config.settings import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WRAPPED = re.compile(r'make airflow ARGS="((?:[^"\\]|\\.)*)"')
CONTAINED = re.compile(r"docker-compose exec \S+ airflow (.+)")


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


def test_every_command_in_the_documents_is_one_that_airflow_takes(tmp_path: Path) -> None:
    asked = commands()
    assert {"README.md", "backfill.md", "operate.md", "compose.md"} <= {page for page, _ in asked}
    script = (
        "import shlex, sys\nfrom airflow.cli.cli_parser import get_parser\n"
        "for line in sys.argv[1:]: get_parser().parse_args(shlex.split(line))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *(line for _, line in asked)],
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


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
