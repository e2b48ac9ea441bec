"""Every extension of docs/extend.md touches two product files, applies to this tree, and does what its test says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from include.config.settings import ROOT

SECTION = re.compile(r"^## (.+?)\n.*?```diff\n(.*?)```\n.*?```python\n(.*?)```", re.DOTALL | re.MULTILINE)
KINDS = [
    "A metric",
    "An estimator's short name",
    "A preprocessing step",
    "A source",
    "A leakage check",
    "A notification target",
]


def test_each_kind_of_extension_touches_two_product_files_and_passes_its_test(tmp_path: Path) -> None:
    sections = SECTION.findall((ROOT / "docs" / "extend.md").read_text())
    assert [title for title, _, _ in sections] == KINDS
    for folder in ("include", "plugins"):
        shutil.copytree(ROOT / folder, tmp_path / folder)  # with what is compiled already
    for place, (title, patch, test) in enumerate(sections):
        assert len(set(re.findall(r"^\+\+\+ b/(.+)$", patch, re.MULTILINE))) == 2, title
        applied = subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch, text=True, capture_output=True)
        assert applied.returncode == 0, f"{title}: {applied.stderr}"
        (tmp_path / f"test_extension_{place}.py").write_text(test)
    paths = os.pathsep.join(map(str, (tmp_path, tmp_path / "plugins")))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", ".", "."],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths, "AIRFLOW_HOME": str(tmp_path / "airflow")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert f"{len(KINDS) + 1} passed" in done.stdout
