"""Commands that show how champions are monitored: `watch`, `metrics`, `tensorboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from include.command_line.commands.arguments import Model
from include.config.settings import Settings

app = typer.Typer()

_PANEL = "Monitoring"


@app.command(rich_help_panel=_PANEL)
def watch(model: Model) -> None:
    """Show the monitoring of the champion: intervals, drift, alarms, requests for a retraining, probation."""
    from include.command_line import watch

    typer.echo(watch.watch(model))


@app.command(rich_help_panel=_PANEL)
def metrics(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.")] = 9464,
) -> None:
    """Serve metrics of every model to Prometheus, read from the store at each scrape, until Ctrl-C."""
    from include.command_line.metrics_exporter import exporter
    from include.command_line.store import store_of_settings

    server = exporter(store_of_settings(), Settings.from_environment().models, host, port)
    typer.echo(f"http://{host}:{server.server_port}/metrics")
    server.serve_forever()


@app.command(rich_help_panel=_PANEL)
def tensorboard(
    model: Model, to: Annotated[Path, typer.Option(help="The folder for event files.", file_okay=False)]
) -> None:
    """Write metrics of versions and intervals as TensorBoard's event files."""
    from include.command_line.store import store_of_settings
    from include.command_line.tensorboard import export
    from include.command_line.watch import declared

    count = export(store_of_settings(), declared(model), to)
    typer.echo(f"{count:,} scalars in {to / model}. Look at them: tensorboard --logdir {to}")
