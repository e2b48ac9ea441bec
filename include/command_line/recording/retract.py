"""Commands that list the readings of a partition and retract one of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from include.command_line.ledger_table import draw_table
from include.command_line.recording.naming import actor_of
from include.command_line.store import store_of_settings
from include.command_line.watch import declared
from include.config.settings import Settings
from include.data.ingestion.retract import readings as readings_of
from include.data.ingestion.retract import retract as run_retract
from include.errors import ConfigError
from include.registry.history.trained_on import describe_retractions, trained_on
from include.registry.ledger import Ledger

app = typer.Typer()
Model = Annotated[str, typer.Argument(help="The model's name.")]
Partition = Annotated[str, typer.Argument(help="The partition: 2026-03 of months, 2026-03-01 of days.")]


@app.command(rich_help_panel="Stored data")
def readings(model: Model, partition: Partition) -> None:
    """List what was read of a partition: when, what is in force, what was taken back, what was trained on it."""
    store, config = store_of_settings(), declared(model)
    found = readings_of(store, config, config.folder(Settings.from_environment().models), partition)
    if not found:
        raise ConfigError(
            "Nothing was read of this partition.",
            expected=f"a {config.data.partition} such as 2026-03, by today's `data.source`",
            found=partition,
            where=f"model {model}, {store.url}",
        )
    ledger = Ledger(store, config.name)
    rows = [
        [
            one.at,
            one.found.content[:12],
            f"{one.found.rows:,}",
            "in force" if one.in_force else "taken back" if one.retraction else "",
            ", ".join(trained_on(ledger, [one.key])),
            describe_retractions([one.retraction] if one.retraction else []),
        ]
        for one in found
    ]
    typer.echo(draw_table(["recorded", "reading", "rows", "", "trained or judged on it", "because"], rows))


@app.command(rich_help_panel="Stored data")
def retract(
    model: Model,
    partition: Partition,
    reading: Annotated[str, typer.Option(help="The reading's digest or its beginning, as `readings` lists it.")],
    reason: Annotated[str, typer.Option(help="Why; it goes on record.")],
    restore: Annotated[bool, typer.Option("--restore", help="Let it count again.")] = False,
) -> None:
    """Take a bad reading of a partition back, on record: the reading before it is in force. Nothing is removed."""
    store, config, at = store_of_settings(), declared(model), datetime.now(UTC)
    folder, actor = config.folder(Settings.from_environment().models), actor_of("retract", at)
    done = run_retract(store, config, folder, partition, reading, reason, actor=actor, at=at, restore=restore)
    typer.echo(done.told(trained_on(Ledger(store, config.name), [done.reading.key])))
