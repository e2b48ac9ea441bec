"""Continuous training with promotion only on evidence: the commands."""

from __future__ import annotations

import signal
import sys
from typing import NoReturn

import typer

from include.command_line.commands import airflow, audit, declaration, ledger, monitoring, serving, store, versions
from include.command_line.recording import retract
from include.command_line.supply_chain import commands as supply_chain
from include.errors import RatchetError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

for group in (airflow, declaration, ledger, versions, store, retract, monitoring, audit, supply_chain, serving):
    app.add_typer(group.app)


def main() -> NoReturn:
    """Run a command; every way out passes by what it started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    try:
        app()
    except RatchetError as error:
        sys.stderr.write(f"\n{error}\n")
        sys.exit(1)
    sys.exit(0)


def _leave(number: int, _: object) -> NoReturn:
    sys.stderr.write("\nEnding everything that was started ...\n")
    sys.exit(128 + number)
