"""The base class of all sections of a model's configuration."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of model.yaml: frozen, and answering unknown keys with an error instead of ignoring them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    def said(self) -> dict[str, Any]:
        """Return, as JSON, what differs from the defaults: what digests are made of, so that a new field changes none.

        A release must not change a default, then: it adds a field or a word instead.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    @classmethod
    def from_stored(cls, body: bytes) -> Self:
        """Read a stored form of any release: what this one does not know is passed over, what it added keeps its default."""
        return cls.model_validate_json(body, extra="ignore")
