"""Commands that read the ledger of a model."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from include.command_line import ledger_queries, registry
from include.command_line.commands.arguments import At, Model, Version, instant_of

app = typer.Typer()

_PANEL = "Versions and decisions"


@app.command(rich_help_panel=_PANEL)
def models() -> None:
    """List the declared models: champion, metric, last outcome, what needs a look."""
    typer.echo(registry.models(datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def champion(model: Model, at: At = None) -> None:
    """Show which version is in force, and why."""
    typer.echo(registry.champion(model, instant_of(at)))


@app.command(rich_help_panel=_PANEL)
def history(
    model: Model,
    at: At = None,
) -> None:
    """Show a model's versions and champions over time: as decided by now, and as in force at the time."""
    typer.echo(ledger_queries.history(model, instant_of(at)))


@app.command(rich_help_panel=_PANEL)
def trials(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, its beginning or an alias; the newest if left out.")
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="How many of each search.")] = 3,
) -> None:
    """Print the best trials of a retraining's searches, for `search.start` of the model.yaml."""
    typer.echo(registry.trials(model, version, best))


@app.command(rich_help_panel=_PANEL)
def scores(model: Model) -> None:
    """List the intervals that have batch scores: by which version, and whether it is still the champion as of then."""
    typer.echo(ledger_queries.batch_scores(model))


@app.command(rich_help_panel=_PANEL)
def compare(model: Model, one: Version, other: Version) -> None:
    """Show two versions side by side: metrics on the same rows, and only what differs between them."""
    typer.echo(registry.compare(model, one, other))


@app.command(rich_help_panel=_PANEL)
def verify(model: Model) -> None:
    """Verify the ledger and all objects that it names. Ends with 1 if one is damaged or missing."""
    if not registry.verify(model, typer.echo):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def replay(
    model: Model,
    policy: Annotated[Path | None, typer.Option(help="A YAML file with another `gate`.", exists=True)] = None,
) -> None:
    """Apply another policy to all past evidence; without one, check that each decision is reproduced."""
    typer.echo(ledger_queries.what_if(model, policy))
