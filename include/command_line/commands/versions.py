"""Commands that name, rebuild or send a version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from include.command_line.commands.arguments import Model, Reason, Version
from include.command_line.recording import naming
from include.config.names import REBUILD_TOLERANCE

app = typer.Typer()

_PANEL = "Versions and decisions"


@app.command(rich_help_panel=_PANEL)
def versions(
    model: Model,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only those with this tag, key=value or key. May stand several times.")
    ] = None,
) -> None:
    """List a model's versions by as-of, with outcome, gain, aliases and tags."""
    typer.echo(naming.versions(model, tag or ()))


@app.command(rich_help_panel=_PANEL)
def tag(
    model: Model,
    version: Version,
    tag: Annotated[str, typer.Argument(help="key=value; with --remove the key.")],
    reason: Reason,
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away.")] = False,
) -> None:
    """Tag a version, on record: reviewed_by=ada. `versions MODEL --tag` finds it."""
    typer.echo(naming.tag(model, version, tag, reason, remove=remove, at=datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def alias(
    model: Model,
    name: Annotated[str, typer.Argument(help="The alias, such as canary.")],
    reason: Reason,
    version: Annotated[str | None, typer.Argument(help="The version's id, the beginning of it, or an alias.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it point at no version any more.")] = False,
) -> None:
    """Point an alias, such as canary, at a version, or move it there."""
    typer.echo(naming.alias(model, name, version, reason, remove=remove, at=datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def rebuild(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, or the beginning of it; the champion if left out.")
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(help="How far predictions may differ; of values, times the standard deviation of the target."),
    ] = REBUILD_TOLERANCE,
) -> None:
    """After an upgrade of libraries: train a version again, and replace the original if both predict the same."""
    from include.command_line.recording.rebuild import rebuild as run_rebuild  # the libraries of a run

    typer.echo(run_rebuild(model, version, tolerance, datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def promote(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, the beginning of it, or an alias; the champion if left out.")
    ] = None,
    *,
    to: Annotated[
        str, typer.Option(help="A stage of RATCHET_STAGES, or a store: file:///folder or s3://bucket/prefix.")
    ],
    connection: Annotated[
        str | None, typer.Option(help="The Airflow connection of the other store, where it needs one of its own.")
    ] = None,
) -> None:
    """Send a champion to another stage: it is copied and verified, and waits for that stage's gate. Nothing is trained."""
    from include.command_line.recording.promote import promote as send  # the libraries of a run

    typer.echo(send(model, version, to, connection, datetime.now(UTC)))
