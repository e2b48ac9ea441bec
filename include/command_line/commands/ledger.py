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
    """Say which version is in force, and why."""
    typer.echo(registry.champion(model, instant_of(at)))


@app.command(rich_help_panel=_PANEL)
def history(
    model: Model,
    at: At = None,
) -> None:
    """Show a model's versions, and who was champion when: by all that is known now, and in fact."""
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
    """Read the ledger and what it names again from the store, and say whether all of it is sound."""
    if not registry.verify(model, typer.echo):
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def replay(
    model: Model,
    policy: Annotated[Path | None, typer.Option(help="A YAML file with another `gate`.", exists=True)] = None,
) -> None:
    """Say what another policy would have done with all past evidence; without one, check that each decision is reproduced."""
    typer.echo(ledger_queries.what_if(model, policy))
