"""The mutation tester ends what a mutant makes endless, in memory as in time."""

from __future__ import annotations

import shlex
import subprocess
import sys

from benchmarks.mutation import MODULES, command, limited
from include.config.settings import ROOT

GREEDY = f"{sys.executable} -c 'import subprocess, sys; {{}}; bytearray(2**31)'"
CHILD = 'sys.exit(subprocess.run([sys.executable, "-c", "bytearray(2**31)"]).returncode)'


def test_a_mutant_that_takes_memory_without_end_is_killed_and_its_children_are_too() -> None:
    for asked in (GREEDY.format("0"), GREEDY.format(CHILD)):
        run = subprocess.run(shlex.split(limited(asked, 1)), capture_output=True, text=True, timeout=120)
        assert run.returncode == 1 and "MemoryError" in run.stderr
        assert subprocess.run(shlex.split(asked), timeout=120).returncode == 0, "it had enough without a limit"


def test_every_module_that_is_mutated_and_every_test_that_must_notice_is_there() -> None:
    for name, (module, tests) in MODULES.items():
        assert (ROOT / module).is_file(), name
        for test in tests:
            assert (ROOT / "tests" / "include" / test.split()[0].partition("::")[0]).is_file(), test
        (_, _, script) = shlex.split(command(name, "python"))
        assert script.startswith("ulimit -v ")
