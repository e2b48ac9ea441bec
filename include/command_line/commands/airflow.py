"""Commands that start Airflow: `demo`, `up`, `airflow`, `prepare`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Annotated

import typer

from include.command_line.compose_setup import prepare as prepare_containers
from include.command_line.local_airflow.demo import demo as run_demo
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.lock import only_one
from include.command_line.local_airflow.progress import ProgressLine
from include.command_line.local_airflow.standalone import become_airflow, free_port, local_airflow
from include.config.settings import ROOT, Settings

app = typer.Typer()

_PANEL = "Airflow on this machine"

Home = Annotated[Path, typer.Option(help="The ignored folder for Airflow's database, logs and secrets.")]
Port = Annotated[int, typer.Option(help="The port to use if it is free; another one otherwise.")]

_FOLDER = ROOT / ".ratchet"


@app.command(rich_help_panel=_PANEL)
def demo(
    model: Annotated[str, typer.Option(help="The model to retrain over its past.")] = "flight_delay",
    at_once: Annotated[int, typer.Option(min=1, help="How many runs may be at work at the same time.")] = 2,
    again: Annotated[
        bool, typer.Option("--again", help="Run it even if nothing changed since it last succeeded.")
    ] = False,
    home: Home = _FOLDER,
    port: Port = 8080,
) -> None:
    """Backfill a model's retraining under a local Airflow and show what the ledger then says."""
    with only_one(home, what="make demo"):
        line = ProgressLine()
        if not run_demo(model, home=home / "airflow", port=port, at_once=at_once, again=again, line=line):
            raise typer.Exit(1)


@app.command(rich_help_panel=_PANEL)
def up(home: Home = _FOLDER, port: Port = 8080) -> None:
    """Run Airflow for people until Ctrl-C."""
    line = ProgressLine()
    with only_one(home, what="make up"):
        chosen = free_port(port)
        if chosen != port:
            line.say(f"Port {port} is busy; Airflow gets port {chosen}.")
        line.wait("Starting Airflow (about 20 seconds) ...")
        with local_airflow(home / "airflow", port=chosen, triggerer=True) as airflow:
            airflow.wait_ready()
            line.say(
                f"Airflow:   {airflow.address}\nuser:      {USER}\npassword:  {password(home / 'airflow')}\nCtrl-C ends it."
            )
            airflow.wait_end()


@app.command(
    rich_help_panel=_PANEL,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def airflow(context: typer.Context, home: Home = _FOLDER, port: Port = 8080) -> None:
    """Run one of Airflow's own commands on the local Airflow, whether `make up` runs or not: `airflow dags list`."""
    become_airflow(home / "airflow", port, context.args)


@app.command(hidden=True)
def prepare() -> None:
    """Make what docker-compose.yaml needs before Airflow starts; its first container runs this."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prepare_containers(ROOT, Settings.from_environment().store, os.environ)
