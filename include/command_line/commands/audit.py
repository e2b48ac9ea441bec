"""Commands for auditors: `pack`, `key`, `sign`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from include.command_line import ledger_queries, signing
from include.command_line.commands.arguments import Model, instant_of

app = typer.Typer()

_PANEL = "Signatures and audit"


@app.command(rich_help_panel=_PANEL)
def pack(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, or the beginning of it; the champion if left out.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The file; MODEL-VERSION.zip here if left out.", dir_okay=False)
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Include the model file and files with values of rows.")
    ] = False,
) -> None:
    """Export the records of a version's decision as one file that anybody can verify offline."""
    from include.audit.pack import make_pack
    from include.registry.naming.lookup import find_version

    ledger = ledger_queries.ledger_of(model)
    found = find_version(ledger.timeline(), version)
    path = to or Path(f"{model.replace('/', '-')}-{found}.zip")
    path.write_bytes(make_pack(ledger, found, whole=whole))
    typer.echo(f"{path}: {path.stat().st_size:,} bytes. Verify it: unzip -p {path} verify.py | python - {path}")


@app.command(rich_help_panel=_PANEL)
def key(
    file: Annotated[
        str,
        typer.Argument(
            help="Where to put the private key: a file that only you can read. Or the key of AWS KMS to sign with: awskms:///ALIAS"
        ),
    ],
    name: Annotated[str, typer.Option(help="Who or what will sign with it; it stands in messages.")],
    since: Annotated[
        datetime | None,
        typer.Option(help="Trusted for signatures from this instant (UTC) on; from now on if left out."),
    ] = None,
) -> None:
    """Create a signing key, and print its entry for the file of RATCHET_TRUSTED_KEYS."""
    typer.echo(signing.make_key(file, name, instant_of(since) or datetime.now(UTC)))


@app.command(rich_help_panel=_PANEL)
def sign(model: Model) -> None:
    """Sign a ledger and versions from the time before signing; check them first: the signature is yours."""
    typer.echo(signing.sign(model, datetime.now(UTC)))
