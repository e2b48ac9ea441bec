"""Commands on a model.yaml: `new`, `lint`, `plan`, `review`, `expect`, `docs`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from include.command_line import ledger_queries
from include.command_line.commands.arguments import Model, Yaml, instant_of
from include.command_line.plan import plan as run_plan
from include.config.reference import markdown
from include.config.settings import ROOT, Settings

app = typer.Typer()

_PANEL = "A model's declaration"


@app.command(rich_help_panel=_PANEL)
def new(
    model: Annotated[str, typer.Argument(help="What to call the model: lower case letters, digits, underscores.")],
    file: Annotated[
        str,
        typer.Argument(
            help="A file of CSV with a header, JSON Lines, Parquet or Excel, or a folder of them, which is copied; "
            "an s3:// path of such; a Delta Lake or Iceberg table's folder; or, with --connection, a table.",
        ),
    ],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    event_time: Annotated[
        str | None, typer.Option(help="The column that says when a row happened; none for a table without time.")
    ] = None,
    day_first: Annotated[
        bool | None,
        typer.Option("--day-first/--month-first", help="What comes first in dates such as 03/04/2026 that allow both."),
    ] = None,
    decimal: Annotated[
        str | None,
        typer.Option(help="What stands before decimals, `.` or `,`, where numbers such as 1,234 allow both."),
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(help="How the file writes its characters, such as windows-1252; looked at if left out."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="The sheet of an Excel workbook that has several.")] = None,
    connection: Annotated[
        str | None,
        typer.Option(
            help="The database of a table: a URL, or the id of an Airflow connection whose URL AIRFLOW_CONN_<ID> holds."
        ),
    ] = None,
) -> None:
    """Draft include/models/<model>/model.yaml from a file, for you to read and correct."""
    models = Settings.from_environment().models
    from include.drafting.draft import draft

    made = draft(
        *(models, model, file, target, event_time),
        now=datetime.now(UTC),
        day_first=day_first,
        decimal=decimal,
        encoding=encoding,
        sheet=sheet,
        connection=connection,
    )
    for line in made.lines():
        typer.echo(line)
    typer.echo("Take out of `features` what is not known when the model is asked. Then: make up")


@app.command(rich_help_panel=_PANEL)
def lint(
    path: Yaml,
    as_of: Annotated[
        datetime | None, typer.Option(help="Stand at this instant (UTC); where the trigger form opens if left out.")
    ] = None,
    rows: Annotated[bool, typer.Option(help="Bring in and check the rows, as a run would.")] = True,
) -> None:
    """Check a model.yaml, the functions that it names, and its rows; nothing is stored."""
    from include.command_line.lint import lint as ask  # the libraries of a run, which no other command needs at once

    typer.echo(ask(path.absolute(), now=datetime.now(UTC), as_of=instant_of(as_of), with_rows=rows))


@app.command(rich_help_panel=_PANEL)
def plan(
    path: Yaml,
    against: Annotated[
        Path | None, typer.Option(help="Compare with this file, and not with what is on record.", exists=True)
    ] = None,
) -> None:
    """Show what a model.yaml would change: DAGs, versions, evidence, policy. This command changes nothing."""
    typer.echo(run_plan(path.absolute(), against))


@app.command(rich_help_panel=_PANEL)
def review(
    against: Annotated[
        str | None, typer.Option(help="Plan the models whose declaration is another one in this commit or branch.")
    ] = None,
    rows: Annotated[bool, typer.Option(help="Bring in and check the rows, as a run would.")] = True,
) -> None:
    """Lint every model and plan every changed one, for a pull request; ends with 1 if one of them can't be used."""
    from include.command_line.review import review as look  # as in `lint`

    sound = True
    for name, text, usable in look(
        Settings.from_environment().models.absolute(), against, now=datetime.now(UTC), with_rows=rows
    ):
        typer.echo(f"## {name}: {'can be used' if usable else 'CAN NOT BE USED'}\n\n{text}\n")
        sound &= usable
    if not sound:
        raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def expect(
    model: Model,
    version: Annotated[
        str | None, typer.Option(help="Whose training window is the reference; the newest version's if left out.")
    ] = None,
    min_rows: Annotated[int, typer.Option(min=1, help="A level with fewer rows is not listed.")] = 50,
) -> None:
    """Propose expectations from a window of rows, with tolerances from how its periods differ, for you to edit."""
    from include.command_line.watch import declared
    from include.drafting.expectations import draft_expectations
    from include.registry.history.trained_on import snapshot_of
    from include.registry.naming.lookup import find_version

    ledger, config = ledger_queries.ledger_of(model), declared(model)
    timeline = ledger.timeline()
    found = find_version(timeline, version) if version else timeline.standings[-1].version
    folder = config.folder(Settings.from_environment().models)
    snapshot = snapshot_of(ledger, found)
    typer.echo(draft_expectations(ledger.store, config, folder, snapshot, min_rows=min_rows))


@app.command(rich_help_panel=_PANEL)
def docs() -> None:
    """Generate docs/model-yaml.md from the code that validates it."""
    from include.training.estimators.registry import spaces  # scikit-learn, which no other command needs at once

    (ROOT / "docs" / "model-yaml.md").write_text(markdown(spaces()))
