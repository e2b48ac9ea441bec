"""A fixed sample of the kills and faults of `benchmarks.faults`."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from include.config.settings import ROOT


def test_tasks_that_are_killed_and_whose_store_fails_leave_what_undisturbed_ones_leave() -> None:
    families = ("score", "rollback", "retract", "copy")
    command = [sys.executable, "-m", "benchmarks.faults", "--kills", "10", "--faults", "160", "--races", "2"]
    command += ["--families", *families, "--promoters", "8", "--seed", "14"]
    done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    (total,) = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| **all**")]
    _, _, rounds, killed, *faults, tried_again, _, wrong = [re.sub("[ |,]", "", one) for one in total]
    assert int(killed) >= 10 and sum(map(int, faults)) >= 160 and min(map(int, faults)) > 0
    assert int(rounds) > len(families) and int(tried_again) > 0 and wrong == "0"
