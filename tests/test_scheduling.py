"""What is named for the parallel runs is there."""

from __future__ import annotations

from scheduling import ALONE, LONGEST, SHARED, unit_of

from include.config.settings import ROOT


def test_every_file_that_is_named_is_there_and_every_unit_is_one() -> None:
    files = [*ALONE, *(file for shared in SHARED.values() for file in shared)]
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert [unit for unit in LONGEST if unit not in SHARED and not (ROOT / unit).is_file()] == []
    assert [unit for unit in LONGEST if unit not in SHARED and unit_of(f"{unit}::test") != unit] == []
