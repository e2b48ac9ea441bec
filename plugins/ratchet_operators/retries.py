"""Which errors a retry can't help."""

from __future__ import annotations

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from include.errors import RatchetError, StoreUnavailable

PERMANENT = ExceptionRetryPolicy(
    [
        RetryRule(StoreUnavailable, RetryAction.DEFAULT, reason="the store may answer later"),
        RetryRule(
            [RatchetError, ArithmeticError, AttributeError, LookupError, NameError, TypeError],
            RetryAction.FAIL,
            reason="the same code, declaration and rows would fail in the same way again",
        ),
    ]
)
"""For what is not a `RatchetError` that an operator has translated already: a mistake in code, a team's or ours."""
