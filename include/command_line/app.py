"""The command-line application and its commands."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from include.command_line import ledger_queries, registry, signing
from include.command_line import plan as declaration
from include.command_line.compose_setup import prepare as prepare_containers
from include.command_line.local_airflow.demo import demo as run_demo
from include.command_line.local_airflow.environment import USER, password
from include.command_line.local_airflow.lock import only_one
from include.command_line.local_airflow.progress import ProgressLine
from include.command_line.local_airflow.standalone import become_airflow, free_port, local_airflow
from include.command_line.recording import naming
from include.command_line.recording import retract as retracting
from include.command_line.supply_chain import commands as supply_chain
from include.config.names import REBUILD_TOLERANCE
from include.config.reference import markdown
from include.config.settings import ROOT, Settings
from include.drafting.draft import draft
from include.errors import ConfigError, RatchetError
from include.storage.opening import open_store

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)

Home = Annotated[Path, typer.Option(help="The ignored folder for Airflow's database, logs and secrets.")]
Port = Annotated[int, typer.Option(help="The port to use if it is free; another one otherwise.")]

_FOLDER = ROOT / ".ratchet"


@app.command()
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


@app.command()
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
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def airflow(context: typer.Context, home: Home = _FOLDER, port: Port = 8080) -> None:
    """Run one of Airflow's own commands on the local Airflow, whether `make up` runs or not: `airflow dags list`."""
    become_airflow(home / "airflow", port, context.args)


Model = Annotated[str, typer.Argument(help="The model's name; where its ledger is read also `model/segment`.")]
Version = Annotated[str, typer.Argument(help="A version's id.")]
Yaml = Annotated[Path, typer.Argument(help="The model.yaml.", exists=True, dir_okay=False)]
At = Annotated[datetime | None, typer.Option(help="Answer for this instant (UTC) only.")]


@app.command()
def models() -> None:
    """List the declared models: champion, metric, last outcome, what needs a look."""
    typer.echo(registry.models(datetime.now(UTC)))


@app.command()
def champion(model: Model, at: At = None) -> None:
    """Say which version is in force, and why."""
    typer.echo(registry.champion(model, registry.instant_of(at)))


@app.command()
def trials(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, its beginning or an alias; the newest if left out.")
    ] = None,
    best: Annotated[int, typer.Option(min=1, help="How many of each search.")] = 3,
) -> None:
    """Print the best trials of a retraining's searches, for `search.start` of the model.yaml."""
    typer.echo(registry.trials(model, version, best))


@app.command()
def versions(
    model: Model,
    tag: Annotated[
        list[str] | None, typer.Option(help="Only those with this tag, key=value or key. May stand several times.")
    ] = None,
) -> None:
    """List a model's versions by as-of, with outcome, gain, aliases and tags."""
    typer.echo(naming.versions(model, tag or ()))


Reason = Annotated[str, typer.Option(help="Why; it goes on record.")]


@app.command()
def tag(
    model: Model,
    version: Version,
    tag: Annotated[str, typer.Argument(help="key=value; with --remove the key.")],
    reason: Reason,
    remove: Annotated[bool, typer.Option("--remove", help="Take the tag away.")] = False,
) -> None:
    """Say something of a version, on record: reviewed_by=ada. `versions MODEL --tag` finds it."""
    typer.echo(naming.tag(model, version, tag, reason, remove=remove, at=datetime.now(UTC)))


@app.command()
def alias(
    model: Model,
    name: Annotated[str, typer.Argument(help="The alias, such as canary.")],
    reason: Reason,
    version: Annotated[str | None, typer.Argument(help="The version's id, the beginning of it, or an alias.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Let it point at no version any more.")] = False,
) -> None:
    """Let a name beside the champion point at a version, or move it there."""
    typer.echo(naming.alias(model, name, version, reason, remove=remove, at=datetime.now(UTC)))


app.add_typer(retracting.app)
app.add_typer(supply_chain.app)


@app.command()
def scores(model: Model) -> None:
    """List the intervals that have batch scores: by which version, and whether it is still the champion as of then."""
    typer.echo(ledger_queries.batch_scores(model))


@app.command()
def compare(model: Model, one: Version, other: Version) -> None:
    """Show two versions side by side: metrics on the same rows, and only what differs between them."""
    typer.echo(registry.compare(model, one, other))


@app.command()
def verify(model: Model) -> None:
    """Read the ledger and what it names again from the store, and say whether all of it is sound."""
    if not registry.verify(model, typer.echo):
        raise typer.Exit(1)


@app.command()
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
    """Copy the store to another one while runs go on: a backup, or a store as it was. Ends with 1 if an object is damaged."""
    from include.command_line.store import store_at, store_of_settings
    from include.registry.naming.renamed import stored_name
    from include.storage.copying import copy_store

    store, models = store_of_settings(), Settings.from_environment().models
    names = {one for name in model or () for one in (name, stored_name(store, name, models))}
    copied = copy_store(
        store,
        store_at(to, connection),
        [f"{name}/" for name in sorted(names)] or [""],
        until=registry.instant_of(until),
        tell=typer.echo,
    )
    typer.echo(copied.told())
    if copied.damaged:
        raise typer.Exit(1)


@app.command()
def mirror(
    models: Annotated[list[str] | None, typer.Argument(help="The models; all that are declared if left out.")] = None,
) -> None:
    """Show in the MLflow server of RATCHET_MLFLOW what the ledgers say. Ends with 1 if a version can't be shown."""
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


@app.command()
def tidy(
    model: Model,
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Do it: mark what nothing needs, and remove what was marked long enough ago."),
    ] = False,
) -> None:
    """Say what of a model's objects nothing needs any more by its `retention`; remove it only if told to."""
    from include.command_line.store import store_of_settings
    from include.command_line.watch import declared
    from include.retention.tidy import tidy as run_tidy

    typer.echo(run_tidy(store_of_settings(), declared(model), at=datetime.now(UTC), remove=remove).told())


@app.command()
def erase(
    model: Model,
    ids: Annotated[
        Path,
        typer.Option(
            help="A CSV file: a header that names columns, then a line for each person.", exists=True, dir_okay=False
        ),
    ],
    remove: Annotated[
        bool, typer.Option("--remove", help="Do it: write what holds rows of theirs again without them.")
    ] = False,
) -> None:
    """Say where rows of people are stored, and which versions were trained on them; take them out only if told to."""
    from include.command_line.store import store_of_settings
    from include.command_line.watch import declared
    from include.retention.erase import erase as run_erase
    from include.retention.people import People

    people = People.read(ids)
    typer.echo(run_erase(store_of_settings(), declared(model), people, at=datetime.now(UTC), remove=remove).told())


@app.command()
def deliver(model: Model) -> None:
    """Deliver scores again where what was delivered is not what is published: corrected, rolled back, or with erased rows."""
    from include.command_line.recording.deliver import deliver as run_deliver  # the libraries of a run

    typer.echo(run_deliver(model, datetime.now(UTC)))


@app.command()
def pack(
    model: Model,
    version: Annotated[
        str | None, typer.Argument(help="A version's id, or the beginning of it; the champion if left out.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="The file; MODEL-VERSION.zip here if left out.", dir_okay=False)
    ] = None,
    whole: Annotated[
        bool, typer.Option("--whole", help="Enclose the model file, and what holds values of rows.")
    ] = False,
) -> None:
    """Put what is on record about a version's decision into one file, which anybody can verify offline."""
    from include.audit.pack import make_pack
    from include.registry.naming.lookup import find_version

    ledger = ledger_queries.ledger_of(model)
    found = find_version(ledger.timeline(), version)
    path = to or Path(f"{model}-{found}.zip")
    path.write_bytes(make_pack(ledger, found, whole=whole))
    typer.echo(f"{path}: {path.stat().st_size:,} bytes. Verify it: unzip -p {path} verify.py | python - {path}")


@app.command()
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
    """Make a key to sign with, and print its entry for the file of RATCHET_TRUSTED_KEYS."""
    typer.echo(signing.make_key(file, name, registry.instant_of(since) or datetime.now(UTC)))


@app.command()
def sign(model: Model) -> None:
    """Sign a ledger and versions that stand from before signing; look at them first: you vouch for them."""
    typer.echo(signing.sign(model, datetime.now(UTC)))


@app.command()
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
    """After an upgrade of libraries: train a version again, and put it in its place if both predict the same."""
    from include.command_line.recording.rebuild import rebuild as run_rebuild  # the libraries of a run

    typer.echo(run_rebuild(model, version, tolerance, datetime.now(UTC)))


@app.command()
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
    """Send a champion to another stage: copied and verified, it waits there for that stage's own gate. Nothing is trained."""
    from include.command_line.recording.promote import promote as send  # the libraries of a run

    typer.echo(send(model, version, to, connection, datetime.now(UTC)))


@app.command()
def lint(
    path: Yaml,
    as_of: Annotated[
        datetime | None, typer.Option(help="Stand at this instant (UTC); where the trigger form opens if left out.")
    ] = None,
    rows: Annotated[bool, typer.Option(help="Bring in and check the rows, as a run would.")] = True,
) -> None:
    """Check a model.yaml, the functions that it names, and its rows; nothing is kept."""
    from include.command_line.lint import lint as ask  # the libraries of a run, which no other command needs at once

    typer.echo(ask(path.absolute(), now=datetime.now(UTC), as_of=registry.instant_of(as_of), with_rows=rows))


@app.command()
def expect(
    model: Model,
    version: Annotated[
        str | None, typer.Option(help="Whose training window is the reference; the newest version's if left out.")
    ] = None,
    min_rows: Annotated[int, typer.Option(min=1, help="A level with fewer rows is not listed.")] = 50,
) -> None:
    """Propose expectations from a window of rows, with tolerances from how its periods differ; a person edits them."""
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


@app.command()
def plan(
    path: Yaml,
    against: Annotated[
        Path | None, typer.Option(help="Compare with this file, and not with what is on record.", exists=True)
    ] = None,
) -> None:
    """Say what a model.yaml would change: DAGs, versions, evidence, policy. Nothing is changed by asking."""
    typer.echo(declaration.plan(path.absolute(), against))


@app.command()
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


@app.command()
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
    made = draft(
        *(models, model, file, target, event_time),
        now=datetime.now(UTC),
        day_first=day_first,
        decimal=decimal,
        encoding=encoding,
        sheet=sheet,
        connection=connection,
    )
    for line in made.told():
        typer.echo(line)
    typer.echo("Take out of `features` what is not known when the model is asked. Then: make up")


@app.command()
def history(
    model: Model,
    at: At = None,
) -> None:
    """Show a model's versions, and who was champion when: by all that is known now, and in fact."""
    typer.echo(ledger_queries.history(model, registry.instant_of(at)))


@app.command()
def tensorboard(
    model: Model, to: Annotated[Path, typer.Option(help="The folder for event files.", file_okay=False)]
) -> None:
    """Write metrics of versions and intervals as TensorBoard's event files."""
    from include.command_line.store import store_of_settings
    from include.command_line.tensorboard import export
    from include.command_line.watch import declared

    count = export(store_of_settings(), declared(model), to)
    typer.echo(f"{count:,} scalars in {to / model}. Look at them: tensorboard --logdir {to}")


@app.command()
def metrics(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 for any free one.")] = 9464,
) -> None:
    """Answer Prometheus with numbers of every model, read from the store at each look, until Ctrl-C."""
    from include.command_line.metrics_exporter import exporter
    from include.command_line.store import store_of_settings

    server = exporter(store_of_settings(), Settings.from_environment().models, host, port)
    typer.echo(f"http://{host}:{server.server_port}/metrics")
    server.serve_forever()


@app.command()
def watch(model: Model) -> None:
    """Show how the champion is watched: intervals, what moved, alarms, requests for a retraining, probation."""
    from include.command_line import watch

    typer.echo(watch.watch(model))


@app.command()
def replay(
    model: Model,
    policy: Annotated[Path | None, typer.Option(help="A YAML file with another `gate`.", exists=True)] = None,
) -> None:
    """Say what another policy would have done with all past evidence; without one, check that each decision is reproduced."""
    typer.echo(ledger_queries.what_if(model, policy))


@app.command()
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
    """Answer requests with each model's champion, until Ctrl-C. docs/serving.md tells how to ask."""
    _require_serving()
    from include.serving.server import serve as run_server
    from include.serving.settings import Address

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    run_server(models or [], Address(host, port, certificate, key), workers)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="Who will use it; it stands in the file of tokens.")],
    model: Annotated[
        list[str], typer.Option(help="A model that it may ask; * for all of them. May stand several times.")
    ],
    days: Annotated[int | None, typer.Option(min=1, help="How long it is good for; for ever if left out.")] = None,
) -> None:
    """Make a bearer token for the server: print it, once, and the entry for the file of RATCHET_SERVING_TOKENS."""
    from include.serving.access import new_token

    made, entry = new_token(name, model, None if days is None else datetime.now(UTC) + timedelta(days=days))
    typer.echo(f"token, shown once:  {made}")
    typer.echo(f"entry for the file: {json.dumps(entry)}")


@app.command()
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
    """Put a model behind an endpoint of a managed platform, or update the endpoint."""
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


@app.command(hidden=True)
def prepare() -> None:
    """Make what docker-compose.yaml needs before Airflow starts; its first container runs this."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    prepare_containers(ROOT, Settings.from_environment().store, os.environ)


@app.command()
def docs() -> None:
    """Draw docs/model-yaml.md from the code that validates it."""
    from include.training.estimators.registry import spaces  # scikit-learn, which no other command needs at once

    (ROOT / "docs" / "model-yaml.md").write_text(markdown(spaces()))


def _require_serving() -> None:
    missing = [name for name in ("starlette", "uvicorn", "prometheus_client", "jwt") if find_spec(name) is None]
    if missing:
        raise ConfigError(
            "The server's libraries are not installed.",
            found=f"no {', '.join(missing)}",
            remedy="pip install 'ratchet[serving]', or the repository's requirements.txt",
        )


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
