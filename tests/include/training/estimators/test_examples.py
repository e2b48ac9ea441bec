"""Each estimator and each transformer of ours that a model file may hold shows an example, and it gives what it shows."""

from __future__ import annotations

import doctest
import importlib

import pytest

from include.training.persistence.type_names import TYPES

ESTIMATORS = sorted(path for path in TYPES.values() if path.startswith("include."))


@pytest.mark.parametrize("path", ESTIMATORS)
def test_an_estimators_example_gives_what_it_shows(path: str) -> None:
    module, _, name = path.rpartition(".")
    found = doctest.DocTestFinder(recurse=False).find(
        getattr(importlib.import_module(module), name), name, globs=vars(importlib.import_module(module)).copy()
    )
    assert [bool(one.examples) for one in found] == [True], "an estimator of ours shows an example"
    assert doctest.DocTestRunner(verbose=False).run(found[0]).failed == 0
