"""A champion that was trained under another release of scikit-learn is rebuilt under the one that is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from include.config.settings import ROOT
from include.registry.ledger import Ledger
from include.registry.versions import fit_of
from include.storage.local import LocalStore

OLDER = "1.8.0"
TRAIN = """
import sys
from pathlib import Path
from chain_run import declare, month, run_chain
from include.storage.local import LocalStore
root = Path(sys.argv[1])
model = declare(root / "parcels")
for number in (4, 7):
    run_chain(LocalStore(root / "store"), model, root / "parcels", month(number))
"""


def run(*command: str | Path, **settings: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RATCHET", "VIRTUAL"))}
    done = subprocess.run(command, cwd=ROOT, env={**kept, **settings}, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.system
def test_a_champion_of_an_older_scikit_learn_is_rebuilt_and_takes_its_place(tmp_path: Path) -> None:
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("needs uv, of requirements-dev.txt")
    pins = (ROOT / "requirements.txt").read_text()
    older = re.sub(r"^scikit-learn==.*$", f"scikit-learn=={OLDER}", pins, flags=re.MULTILINE)
    assert older != pins
    (tmp_path / "requirements.txt").write_text(older)
    python = tmp_path / "older" / "bin" / "python"
    run(uv, "venv", "--python", sys.executable, tmp_path / "older")
    run(uv, "pip", "install", "--python", python, "-r", tmp_path / "requirements.txt")

    paths = os.pathsep.join(str(ROOT / one) for one in (".", "plugins", "tests"))
    run(python, "-c", TRAIN, tmp_path / "models", PYTHONPATH=paths)
    ledger = Ledger(LocalStore(tmp_path / "models" / "store"), "parcels")
    champion = str(ledger.timeline().champion)
    assert fit_of(ledger.store, ledger.version(champion)).libraries["scikit-learn"] == OLDER

    settings = {"RATCHET_MODELS": str(tmp_path / "models"), "RATCHET_STORE": ledger.store.url}
    said = run(sys.executable, "-m", "include", "rebuild", "parcels", **settings)
    rebuilt = str(ledger.timeline().champion)
    assert f"{rebuilt} replaces {champion}" in said
    assert fit_of(ledger.store, ledger.version(rebuilt)).libraries["scikit-learn"] != OLDER
    assert "wrong" not in run(sys.executable, "-m", "include", "verify", "parcels", **settings)
