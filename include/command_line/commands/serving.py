"""Commands of the prediction server: `serve`, `token`, `deploy`."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from include.command_line.commands.arguments import Model
from include.config.settings import Settings
from include.errors import ConfigError
from include.storage.opening import open_store

app = typer.Typer()

_PANEL = "Serving"


@app.command(rich_help_panel=_PANEL)
def serve(
    models: Annotated[
        list[str] | None, typer.Argument(help="The models' names; all that are declared if left out.")
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.")] = 8500,
    workers: Annotated[int, typer.Option(min=1, help="How many processes answer.")] = 1,
    certificate: Annotated[Path | None, typer.Option(help="A PEM file, for TLS.", exists=True, dir_okay=False)] = None,
    key: Annotated[Path | None, typer.Option(help="The certificate's key.", exists=True, dir_okay=False)] = None,
) -> None:
    """Serve predictions of each model's champion over HTTP, until Ctrl-C. See docs/serving.md."""
    _require_serving()
    from include.serving.server import serve as run_server
    from include.serving.settings import Address

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    run_server(models or [], Address(host, port, certificate, key), workers)


@app.command(rich_help_panel=_PANEL)
def token(
    name: Annotated[str, typer.Argument(help="Who will use it; it stands in the file of tokens.")],
    model: Annotated[
        list[str], typer.Option(help="A model that it may ask; * for all of them. May stand several times.")
    ],
    days: Annotated[int | None, typer.Option(min=1, help="How long it is good for; for ever if left out.")] = None,
) -> None:
    """Create a bearer token for the server: print it, once, and its entry for the file of RATCHET_SERVING_TOKENS."""
    from include.serving.access import new_token

    made, entry = new_token(name, model, None if days is None else datetime.now(UTC) + timedelta(days=days))
    typer.echo(f"token, shown once:  {made}")
    typer.echo(f"entry for the file: {json.dumps(entry)}")


@app.command(rich_help_panel=_PANEL)
def deploy(
    platform: Annotated[str, typer.Argument(help="Where to: sagemaker.")],
    model: Model,
    image: Annotated[
        str | None, typer.Option(help="The image's address, in a registry that the platform reads.")
    ] = None,
    role: Annotated[str | None, typer.Option(help="The ARN of the role that the containers have.")] = None,
    instance_type: Annotated[str, typer.Option(help="What they run on.")] = "ml.m5.large",
    instances: Annotated[int, typer.Option(min=1, help="How many of them.")] = 1,
    endpoint: Annotated[str | None, typer.Option(help="The endpoint's name; ratchet-MODEL if left out.")] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Put the endpoint back on what it ran on before.")
    ] = False,
) -> None:
    """Deploy a model to an endpoint of a managed platform, or update the endpoint."""
    import boto3

    from include.serving.sagemaker import Deployment, roll_back
    from include.serving.sagemaker import deploy as put_in_service

    if platform != "sagemaker" or not (rollback or (image and role)):
        raise ConfigError(
            "The deployment can't be made.",
            expected="sagemaker, with --image and --role, or with --rollback",
            found=platform,
            remedy="docs/serving.md tells how to run the image on Vertex AI and Azure Machine Learning",
        )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    client = boto3.client("sagemaker")
    if rollback:
        typer.echo(roll_back(client, model, endpoint))
        return
    store = open_store(Settings.from_environment().store)
    wanted = Deployment(str(image), str(role), instance_type, instances, endpoint)
    typer.echo(put_in_service(client, store, model, wanted))


def _require_serving() -> None:
    missing = [name for name in ("starlette", "uvicorn", "prometheus_client", "jwt") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "The server's libraries are not installed.",
            found=f"no {', '.join(missing)}",
            remedy="pip install 'ratchet[serving]', or the repository's requirements.txt",
        )
