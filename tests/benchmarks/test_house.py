from __future__ import annotations

from benchmarks.house import EXCEPTIONS, LONGER, MOST_LINES, large_packages, long_modules, undescribed
from include.config.settings import ROOT


def test_no_module_outgrows_its_limit_without_a_reason() -> None:
    assert [name for name, _ in long_modules() if name not in EXCEPTIONS] == []


def test_a_module_that_became_short_gives_its_allowance_back() -> None:
    assert [name for name in LONGER if len((ROOT / name).read_text().splitlines()) <= MOST_LINES] == []


def test_no_package_outgrows_its_limit_without_a_reason() -> None:
    assert [name for name, _ in large_packages() if name not in EXCEPTIONS] == []


def test_every_public_function_describes_its_parameters() -> None:
    assert [name for name, _ in undescribed() if name not in EXCEPTIONS] == []


def test_what_is_excused_is_there() -> None:
    assert set(EXCEPTIONS) <= {name for found in (large_packages(), long_modules(), undescribed()) for name, _ in found}
