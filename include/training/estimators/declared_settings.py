"""Estimators whose settings are a table: names, defaults, and what each accepts."""

from __future__ import annotations

from typing import Any, ClassVar


class DeclaredSettings:
    """What `sklearn.base.BaseEstimator` needs of a class, out of its table of settings.

    Parameters
    ----------
    **settings
        Those of ``SETTINGS``.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]]
    SETTINGS: ClassVar[dict[str, tuple[Any, list[Any]]]] = {}
    """For each setting its default, and what scikit-learn's check of settings accepts."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._parameter_constraints = {name: accepted for name, (_, accepted) in cls.SETTINGS.items()}

    def __init__(self, **settings: Any) -> None:
        if unknown := sorted(set(settings) - set(self.SETTINGS)):
            raise TypeError(f"{type(self).__name__} has no setting {unknown[0]}")
        for name, (default, _) in self.SETTINGS.items():
            setattr(self, name, settings.get(name, default))

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(cls.SETTINGS)
