"""The `about` section: origin of the data, intended use and limits, for people who decide on the model; part of no version."""

from __future__ import annotations

from include.config.section import Section


class About(Section):
    """A dataset sheet, and what the model is for and what not, in sentences; each is shown on the model card. Changing it changes no version."""

    origin: str | None = None
    """Where the rows come from, and who made them."""
    collection: str | None = None
    """How and when they were collected, and how they were chosen."""
    consent: str | None = None
    """On which ground they may be used: consent, contract, law."""
    gaps: tuple[str, ...] = ()
    """What is known to be missing or wrong in them."""
    intended_use: str | None = None
    """Which decisions the predictions are made for, and by whom."""
    out_of_scope: tuple[str, ...] = ()
    """What they must not be used for."""
    ethics: str | None = None
    """Who is harmed by a wrong prediction, and what is done about it."""
