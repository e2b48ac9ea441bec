"""The base class of all sections of a model's configuration."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of model.yaml: frozen, and with an error for unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def said(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, as JSON. Digests are made of these, so a new field does not change them.

        So a release must not change a default: it adds a field or a value instead.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def from_stored(cls, body: bytes) -> Self:
        """Read the stored form of any release: unknown fields are ignored, and new fields get their default."""
        return cls.model_validate_json(body, extra="ignore")
