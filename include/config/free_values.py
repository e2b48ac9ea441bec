"""Values that model.yaml hands on as they are, such as an estimator's settings, and how JSON keeps them apart.

Canonical JSON writes 1.0 as 1, but to scikit-learn ``max_features: 1.0`` is every column and ``max_features: 1`` one of them. So
a whole float is written with a mark, and what was declared is what is read back.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

_MARK = "float"


def marked(value: Any) -> Any:
    """Return plain JSON in which every whole float is ``{"float": "1.0"}``."""
    if isinstance(value, float) and value.is_integer():
        return {_MARK: repr(value)}
    if isinstance(value, dict):
        return {name: marked(part) for name, part in value.items()}
    return [marked(part) for part in value] if isinstance(value, list | tuple) else value


def unmarked(value: Any) -> Any:
    """Read what `marked` wrote."""
    if isinstance(value, dict):
        if value.keys() == {_MARK} and isinstance(value[_MARK], str):
            return float(value[_MARK])
        return {name: unmarked(part) for name, part in value.items()}
    return [unmarked(part) for part in value] if isinstance(value, list | tuple) else value


def storable(value: Any) -> Any:
    """Return a value that canonical JSON holds; raises `ValueError` for a whole number that it does not."""
    if isinstance(value, int) and abs(value) >= 2**53:
        raise ValueError(
            f"expected a whole number below 2^53, a large one such as 9.0e18, or an id in quotes, found {value}"
        )
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ():
        storable(part)
    return value


Marked = (BeforeValidator(lambda value: storable(unmarked(value))), PlainSerializer(marked, when_used="json"))
FreeSettings = Annotated[dict[str, Any], *Marked]
