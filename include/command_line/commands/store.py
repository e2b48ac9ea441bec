"""Commands on stored objects: `copy`, `mirror`, `tidy`, `erase`, `deliver`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from include.command_line import ledger_queries
from include.command_line.commands.arguments import Model, instant_of
from include.config.settings import Settings

app = typer.Typer()

_PANEL = "Stored data"


@app.command(rich_help_panel=_PANEL)
def copy(
    to: Annotated[
        str, typer.Argument(help="The other store: file:///folder or s3://bucket/prefix. It may hold an earlier copy.")
    ],
    model: Annotated[
        list[str] | None, typer.Option(help="Copy this model only. May stand several times; all if left out.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(help="Copy what was on record at this instant (UTC), and nothing later.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option(help="The Airflow connection of the other store, where it needs one of its own.")
    ] = None,
) -> None:
    """Copy the store while runs go on: a backup, or the store as of an instant. Ends with 1 if an object is damaged."""
    from include.command_line.store import store_at, store_of_settings
    from include.registry.naming.renamed import stored_name
    from include.storage.copying import copy_store

    store, models = store_of_settings(), Settings.from_environment().models
    names = {one for name in model or () for one in (name, stored_name(store, name, models))}
    copied = copy_store(
        store,
        store_at(to, connection),
        [f"{name}/" for name in sorted(names)] or [""],
        until=instant_of(until),
        tell=typer.echo,
    )
    typer.echo(copied.told())
    if copied.damaged:
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def mirror(
    models: Annotated[list[str] | None, typer.Argument(help="The models; all that are declared if left out.")] = None,
) -> None:
    """Mirror versions and champions to the MLflow server of RATCHET_MLFLOW. Ends with 1 if a version can't be mirrored."""
    from include.command_line.store import store_of_settings
    from include.config.load import load_models
    from include.mirror.mlflow_mirror import mirror as mirror_model
    from include.registry.ledger import Ledger

    wrong = 0
    named = {name: ledger_queries.ledger_of(name) for name in models or ()} or {
        model.declared_name: Ledger(store_of_settings(), model.name)
        for model in load_models(Settings.from_environment().models)[0]
    }
    for name, ledger in named.items():
        done = mirror_model(ledger)
        typer.echo(f"{name}: {done.written} versions brought up to date; the alias names {done.champion or 'nothing'}")
        for version, reason in done.wrong.items():
            typer.echo(f"{name}: {version} can't be shown: {reason}")
        wrong += len(done.wrong)
    if wrong:
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def deliver(model: Model) -> None:
    """Deliver scores again where the published ones have changed: corrected, rolled back, or with erased rows."""
    from include.command_line.recording.deliver import deliver as run_deliver  # the libraries of a run

    typer.echo(run_deliver(model, datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def tidy(
    model: Model,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Mark objects that nothing needs, and remove those whose grace period is over."),
    ] = False,
) -> None:
    """List a model's objects that nothing needs any more by its `retention`; --remove removes them."""
    from include.command_line.store import store_of_settings
    from include.command_line.watch import declared
    from include.retention.tidy import tidy as run_tidy

    typer.echo(run_tidy(store_of_settings(), declared(model), at=datetime.now(UTC), remove=remove).told())


@app.command(rich_help_panel=_PANEL)
def erase(
    model: Model,
    ids: Annotated[
        Path,
        typer.Option(
            help="A CSV file: a header that names columns, then a line for each person.", exists=True, dir_okay=False
        ),
    ],
    remove: Annotated[
        bool, typer.Option("--remove", help="Rewrite the objects that hold their rows, without these rows.")
    ] = False,
) -> None:
    """List where rows of people are stored, and the versions trained on them; --remove erases the rows."""
    from include.command_line.store import store_of_settings
    from include.command_line.watch import declared
    from include.retention.erase import erase as run_erase
    from include.retention.people import People

    people = People.read(ids)
    typer.echo(run_erase(store_of_settings(), declared(model), people, at=datetime.now(UTC), remove=remove).told())
