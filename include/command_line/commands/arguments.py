"""Arguments and options that several commands take."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="The model's name; where its ledger is read also `model/segment`.")]
Version = Annotated[str, typer.Argument(help="A version's id.")]
Yaml = Annotated[Path, typer.Argument(help="The model.yaml.", exists=True, dir_okay=False)]
At = Annotated[datetime | None, typer.Option(help="Answer for this instant (UTC) only.")]
Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]


def instant_of(at: datetime | None) -> datetime | None:
    """Return an option's instant as UTC."""
    return at.replace(tzinfo=UTC) if at else None
