"""Whatever bytes a parser is given, it refuses them by an error of ours: quickly, in little memory, and doing nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from include.config.settings import ROOT
from tests.hostile import CORPUS, MEGABYTES, PARSERS, SECONDS, SEEDS

RUN = """
import json, sys
from tests import hostile
hostile.warm()
found = {
    f"{parser}: {case}": vars(hostile.run(parser, make()))
    for parser, cases in hostile.CORPUS.items() for case, make in cases.items()
}
good = {f"{parser}: {number}": vars(hostile.run(parser, body)) for parser, bodies in hostile.SEEDS.items() for number, body in enumerate(bodies)}
print("ANSWER" + json.dumps([found, good]))
"""
CASES = [f"{parser}: {case}" for parser, cases in CORPUS.items() for case in cases]


@pytest.fixture(scope="module")
def outcomes() -> Any:
    """What became of each case, in a process that is not this one, with one thread and one kind of memory."""
    settings = {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
    environment = os.environ | settings | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    answers = [line.removeprefix("ANSWER") for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stderr[-4000:]
    return json.loads(answers[-1])


def test_every_parser_has_a_corpus_and_model_files_have_a_large_one() -> None:
    assert set(CORPUS) == set(PARSERS) == set(SEEDS)
    assert len(CORPUS["model file"]) >= 60 and all(len(cases) >= 3 for cases in CORPUS.values())


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(outcomes: Any, case: str) -> None:
    found = outcomes[0][case]
    assert found["refused"], found
    assert found["did"] == [], "nothing is imported, started, connected to or written"
    assert found["megabytes"] < MEGABYTES, found
    assert found["seconds"] < 3 * SECONDS, "three times the promise, for a machine that does other things as well"


def test_what_is_good_is_taken(outcomes: Any) -> None:
    """Or every input would be refused for a mistake of the corpus. Some seeds are good as far as they go: alone, without a key."""
    taken = {case for case, found in outcomes[1].items() if found["said"] == "accepted"}
    assert set(outcomes[1]) - taken == {
        "ledger event: 1", "ledger event: 2", "ledger event: 3", "envelope: 0", "pack: 0", "card: 0",
    }  # fmt: skip
