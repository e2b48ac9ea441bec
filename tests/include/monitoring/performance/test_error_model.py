from __future__ import annotations

import numpy as np
import pytest

from include.monitoring.performance.error_model import ErrorModel, estimate_regression, learn_error_model


def test_an_error_model_sees_that_rows_became_harder() -> None:
    rng = np.random.default_rng(4)

    def rows(hard: float, count: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        inputs = np.column_stack([rng.random(count) < hard, rng.standard_normal(count)])
        predicted = rng.standard_normal(count)
        return inputs, predicted, np.where(inputs[:, 0] > 0, 5.0, 1.0) * rng.standard_normal(count)

    inputs, predicted, residuals = rows(0.1)
    model = learn_error_model(residuals, predicted, inputs, ("hard", "other"))
    for hard in (0.1, 0.6):
        inputs, predicted, residuals = rows(hard)
        found = estimate_regression(model, predicted, inputs, ("mae", "rmse", "r2"))
        assert found["mae"].value == pytest.approx(np.abs(residuals).mean(), rel=0.08)
        assert found["rmse"].low <= np.sqrt((residuals**2).mean()) * 1.03 and found["r2"].value is None  # type: ignore[operator]
    assert ErrorModel(**vars(model)) == model
