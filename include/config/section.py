"""The form that every part of a model's configuration has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of model.yaml: frozen, and answering unknown keys with an error instead of ignoring them."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
