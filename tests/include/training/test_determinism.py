from __future__ import annotations

import json
import os
import subprocess
import sys

from include.config.names import ESTIMATORS
from include.config.settings import ROOT


def fit_everything(threads: int, hash_seed: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.include.training.fit_all", str(threads)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_keys_scores_and_model_files_are_the_same_in_every_process_whatever_its_threads_and_hash_seed() -> None:
    runs = [fit_everything(threads=1, hash_seed=1), fit_everything(threads=2, hash_seed=2)]
    one, other = (json.loads(run.communicate()[0]) for run in runs)
    assert len(one) == sum(len(facts.tasks) for facts in ESTIMATORS.values()) + 6 + 6
    assert one == other
