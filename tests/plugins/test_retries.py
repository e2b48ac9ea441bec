"""What a retry can't help is not retried; what may pass is."""

from __future__ import annotations

import pytest
from airflow.sdk import ExceptionRetryPolicy, RetryAction

from include.errors import CodeError, DataError, QualityError, StoreUnavailable
from ratchet_operators.retries import PERMANENT

# As the scheduler's database and a worker have it.
STORED = ExceptionRetryPolicy.deserialize(PERMANENT.serialize())


@pytest.mark.parametrize("policy", [PERMANENT, STORED])
@pytest.mark.parametrize(
    ("error", "action"),
    [
        (DataError("no row"), RetryAction.FAIL),
        (CodeError("no function"), RetryAction.FAIL),
        (QualityError("dogs", report="r", page="p"), RetryAction.FAIL),
        (KeyError("column"), RetryAction.FAIL),
        (TypeError("a number is no text"), RetryAction.FAIL),
        (ZeroDivisionError(), RetryAction.FAIL),
        (StoreUnavailable("no answer"), RetryAction.DEFAULT),
        (ConnectionResetError(), RetryAction.DEFAULT),
        (TimeoutError(), RetryAction.DEFAULT),
        (MemoryError(), RetryAction.DEFAULT),
        (ValueError("answered without a reason"), RetryAction.DEFAULT),
    ],
)
def test_a_permanent_error_is_not_tried_again(
    policy: ExceptionRetryPolicy, error: Exception, action: RetryAction
) -> None:
    assert policy.evaluate(error, try_number=1, max_tries=3).action is action
