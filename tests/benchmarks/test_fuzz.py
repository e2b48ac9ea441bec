"""A fixed sample of the mutated inputs of `benchmarks.fuzz`."""

from __future__ import annotations

import os
import subprocess
import sys

from include.config.settings import ROOT


def test_no_parser_fails_by_an_error_of_its_own_over_some_hundreds_of_mutated_inputs() -> None:
    command = [sys.executable, "-m", "benchmarks.fuzz", "--inputs", "800", "--seed", "14"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    first, counts = done.stdout.splitlines()
    assert first.startswith("800 inputs, seed 14") and counts.endswith("0 found")
