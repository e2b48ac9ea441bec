from __future__ import annotations

import numpy as np
import pytest

from include.errors import NotReproduced
from include.reproduction.prediction_differences import difference


def test_a_row_of_several_classes_counts_once_however_many_of_its_values_differ() -> None:
    then = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [0.6, 0.2, 0.2]])
    now = then + np.array([[0.0, 0.0, 0.0], [0.1, 0.1, -0.2], [0.0, 1e-9, -1e-9]])
    found = difference(then, now, 1e-6)
    assert (found.rows, found.beyond) == (3, 1)
    assert found.largest == pytest.approx(0.2)


def test_a_row_without_a_number_equals_no_other() -> None:
    assert difference(np.array([1.0, np.nan]), np.array([1.0, np.nan]), 1e-6).beyond == 1


def test_predictions_of_another_shape_are_another_model() -> None:
    with pytest.raises(NotReproduced, match="another shape"):
        difference(np.ones((4, 3)), np.ones((4, 2)), 1e-6)
