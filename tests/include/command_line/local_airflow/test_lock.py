from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from include.command_line.local_airflow.lock import only_one
from include.errors import RatchetError


def test_a_second_one_is_told_who_is_first(tmp_path: Path):
    told = pytest.raises(RatchetError, match="make up, process")
    with only_one(tmp_path, what="make up"), told, only_one(tmp_path, what="make demo"):
        pass


def test_it_is_let_go_at_the_end(tmp_path: Path):
    for _ in range(2):
        with only_one(tmp_path, what="make demo"):
            pass


def test_it_is_let_go_when_its_holder_is_killed(tmp_path: Path):
    code = (
        "import sys, time; from pathlib import Path; from include.command_line.local_airflow.lock import only_one\n"
        "with only_one(Path(sys.argv[1]), what='make demo'): print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline()
        with pytest.raises(RatchetError, match="make demo, process"), only_one(tmp_path, what="make demo"):
            pass
        holder.kill()
    with only_one(tmp_path, what="make demo"):
        pass
