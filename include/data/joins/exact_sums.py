"""Running sums without rounding: the sum of a window does not depend on the other rows that are read, or on their order.

A running sum of floats carries the rounding errors of all rows before: training and scoring, which read other rows, would
give one row two values. Here each value is cut into whole numbers of 32 bits (a fixed-point superaccumulator, as in
Kulisch's), whose running sums are exact; a difference of two is rounded once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BITS = 32
_DIGIT = 2**BITS - 1


def window_sums(values: Array, signs: Array, places: Array) -> Array:
    """Return running sums at some places, each rounded to the nearest float once.

    Parameters
    ----------
    values : array of shape (n_values,), float64 or int64
        Finite.
    signs : array of shape (n_values,)
        1, -1 or 0: whether the value is added, taken off or left out.
    places : array of shape (n_places,)
        After how many values each sum is wanted.

    Returns
    -------
    array of shape (n_places,), float64
        What `math.fsum` gives for those values.
    """
    digits = []
    for power, digit in _digits(values):
        running = np.concatenate([[0], np.cumsum(digit * signs)])
        digits.append((power, running[places]))
    return _rounded(digits, len(places))


def _digits(values: Array) -> Iterator[tuple[int, Array]]:
    """Yield whole numbers below 2**32, from the lowest up, and the powers of 2**32 by which they make up the values."""
    if values.dtype.kind == "i":
        yield 0, values & _DIGIT
        yield 1, values >> BITS
        return
    _, exponents = np.frexp(values[values != 0])
    if not len(exponents):
        return
    found, rest = [], values
    # A float has 53 bits: from the digit of the largest one down to that of the smallest one's last bit.
    for power in range((int(exponents.max()) - 1) // BITS, (int(exponents.min()) - 54) // BITS - 1, -1):
        part = np.trunc(np.ldexp(rest, -BITS * power))
        rest = rest - np.ldexp(part, BITS * power)
        found.append((power, part.astype(np.int64)))
    yield from reversed(found)


def _rounded(digits: list[tuple[int, Array]], size: int) -> Array:
    """Return sums of digits times their powers, rounded to the nearest float, ties to even."""
    if not digits:
        return np.zeros(size)
    lowest = digits[0][0]
    carried, top = _carried([digit for _, digit in digits])
    negative = top < 0
    # The digits of the absolute value: the same with any powers that other rows bring in.
    carried, _ = _carried([np.where(negative, -digit, digit) for digit in [*carried, top]])
    stacked = np.stack([np.zeros(size, np.uint64)] * 2 + [digit.astype(np.uint64) for digit in carried])
    first = len(stacked) - 1 - np.argmax(stacked[::-1] != 0, axis=0)
    first = np.maximum(first, 2)
    column = np.arange(size)
    high, middle, low = (stacked[first - step, column] for step in range(3))
    below = np.cumsum(stacked != 0, axis=0)[np.maximum(first - 3, 0), column] > 0
    # 64 bits from the highest one down, the last of them set where anything lies below: rounding those is rounding all.
    shift = np.where(high > 0, BITS - np.frexp(high.astype(np.float64))[1], 0).astype(np.uint64)
    head = (((high << np.uint64(BITS)) | middle) << shift) | (low >> (np.uint64(BITS) - shift))
    sticky = ((low << shift) & np.uint64(_DIGIT) != 0) | below
    head |= sticky.astype(np.uint64)
    with np.errstate(over="ignore"):
        absolute = np.ldexp(head.astype(np.float64), BITS * (lowest + first - 2 - 1) - shift.astype(np.int64))
    signed: Array = np.where(negative, -absolute, absolute)
    return signed


def _carried(digits: list[Array]) -> tuple[list[Array], Array]:
    """Return digits from 0 to 2**32 - 1 of the same number, from the lowest up, and what is carried out of the highest."""
    carry = np.zeros(len(digits[0]), np.int64)
    found = []
    for digit in digits:
        whole = digit + carry
        found.append(whole & _DIGIT)
        carry = whole >> BITS
    return found, carry
