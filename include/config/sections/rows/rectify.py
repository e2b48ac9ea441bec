"""Corrections of rows as they are read: spellings of texts, and duplicate rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from include.config.section import Section

if TYPE_CHECKING:
    from include.config.model import ModelConfig


class Spelling(Section):
    """How texts of some columns are corrected, value by value, in the order of these fields."""

    columns: Annotated[tuple[str, ...], Field(min_length=1)]
    """Text columns of the model's own source; of a joined source only those that it is joined on."""
    look_alikes: bool = False
    """Map texts that look the same to one text: composed letters, no invisible marks, blanks collapsed and stripped."""
    trim: bool = False
    """Strip blanks at both ends."""
    fold_case: bool = False
    """Lower case, also of letters such as ß."""
    levels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Other spellings of a level: `New York: [NY, N.Y.]`. They are compared after the steps above."""

    @field_validator("levels", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        return {level: (other,) if isinstance(other, str) else other for level, other in value.items()}

    @model_validator(mode="after")
    def _something(self) -> Spelling:
        if not (self.look_alikes or self.trim or self.fold_case or self.levels):
            raise ValueError("expected at least one of `look_alikes`, `trim`, `fold_case` and `levels`")
        return self


class Rectify(Section):
    """Corrections of rows as they are read, counted on the check report; nothing else is corrected."""

    texts: tuple[Spelling, ...] = ()
    """Each names columns and what is done with their texts."""
    drop_duplicates: bool = False
    """Keep one of several rows that are equal in every column, after their texts are corrected. Rows with the same id and other values still stop the run."""

    @model_validator(mode="after")
    def _each_once(self) -> Rectify:
        names = [name for one in self.texts for name in one.columns]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"expected each column in one entry, found `{twice[0]}` in two")
        return self


AS_READ = Rectify()
"""No corrections."""


def check_rectify(model: ModelConfig) -> None:
    """Check that only columns of the model's own source are corrected, and that equal rows may be dropped; raises `ValueError`."""
    rectify = model.quality.rectify
    joined = {name for join in model.data.joins for name, _, _, _ in join.made()}
    for name in (name for one in rectify.texts for name in one.columns):
        if name in joined:
            raise ValueError(f"`quality.rectify` names `{name}`, which a join adds: correct it in the joined source")
    if rectify.drop_duplicates and model.data.equal_rows == "separate":
        raise ValueError(
            "`quality.rectify.drop_duplicates` drops equal rows, but `data.equal_rows: separate` keeps them"
        )
