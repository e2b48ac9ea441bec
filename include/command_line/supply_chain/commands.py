"""The commands `images` and `sbom`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from include.command_line.ledger_table import draw_table
from include.command_line.supply_chain.deployment_images import deployment_images, pin, state
from include.command_line.supply_chain.image_reference import ImageReference
from include.command_line.supply_chain.image_registry import published
from include.config.settings import ROOT

app = typer.Typer()


@app.command(rich_help_panel="Signatures and audit")
def images(
    names: Annotated[
        list[str] | None, typer.Argument(help="Other images, such as one that you pushed: print each with its digest.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(
            help="The .env of Compose: ask the registries for digests, and pin the images there.", dir_okay=False
        ),
    ] = None,
) -> None:
    """List the images that docker-compose.yaml and Dockerfile name, and pin them by digest: images --write .env."""
    if names and write:
        raise typer.BadParameter("names are printed with their digests; .env holds those of docker-compose.yaml alone")
    for name in names or ():
        image = ImageReference.parse(name)
        typer.echo(image.at(published(image).digest))
    if names:
        return
    found = deployment_images(ROOT, write or ROOT / ".env")
    if write:
        for line in pin(found, write, published):
            typer.echo(line)
    else:
        typer.echo(
            draw_table(["variable", "image", ""], [[one.variable, str(one.chosen), state(one)] for one in found])
        )


@app.command(rich_help_panel="Signatures and audit")
def sbom(
    environment: Annotated[
        list[Path] | None,
        typer.Option(
            help="Another Python environment that is here, such as the base image's. May stand several times."
        ),
    ] = None,
) -> None:
    """Print what is installed here as CycloneDX 1.6: Python packages, and Debian's."""
    from include.command_line.supply_chain.installed import installed

    typer.echo(json.dumps(installed(environment or ()), indent=1, sort_keys=True))
