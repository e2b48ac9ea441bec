from __future__ import annotations

import pytest

from benchmarks.serving_resilience import trial


@pytest.mark.system
@pytest.mark.timeout(400)
def test_under_load_no_answer_is_wrong_mixed_or_lost_by_swaps_kills_and_a_store_that_is_away() -> None:
    figures = trial(swaps=6, kills=3, away=5)
    assert (figures.wrong, figures.mixed, figures.unexplained) == (0, 0, 0)
    assert figures.versions == 7 and figures.answered > 200 and figures.while_away > 20
    assert figures.slowest_swap < 15
