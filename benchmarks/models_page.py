"""How long the Models page takes with 100 models, one of 1,000 versions: on a local folder, and on S3 with latency.

python -m benchmarks.models_page       # two minutes; writes its part of docs/performance.md

Nothing is trained. S3 is moto's server, with 20 ms added to each call. *First* is the first view of a page by a web server that has
imported all and read nothing, *again* a later one, and *after a minute* one for which all that may be some seconds old is too old.
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests")]

from benchmarks.page import machine, put  # noqa: E402 (after the path is set)
from benchmarks.store_calls import DELAY  # noqa: E402
from include.config.load import load_model  # noqa: E402
from include.config.settings import Settings  # noqa: E402
from include.registry.history.summary import VersionSummary  # noqa: E402
from include.storage.concurrency import at_once  # noqa: E402
from include.storage.local import LocalStore  # noqa: E402
from include.storage.s3 import S3Store  # noqa: E402
from include.storage.store import ObjectStore  # noqa: E402
from tests.counting import CountingStore  # noqa: E402
from tests.histories import tell  # noqa: E402


@contextmanager
def s3_bucket() -> Iterator[S3Store]:
    """Yield a bucket of moto's S3 server, which runs in a process of its own until the end."""
    import boto3
    from botocore.config import Config

    os.environ |= dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing")
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = ROOT / "tests" / "compose" / "s3_server.py"
    environment = {**os.environ, "S3_HOST": "127.0.0.1", "S3_PORT": str(port)}
    server = subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, str(program)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        # Tried again until the server listens.
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", config=Config(retries={"total_max_attempts": 20})
        )
        client.create_bucket(Bucket="pages")
        yield S3Store(client, "pages")
    finally:
        server.kill()
        server.wait()


class Everyone:
    """A viewer who may do everything, so that every button is drawn."""

    def may_read(self, model: str) -> bool:
        """Return True."""
        return True

    may_trigger = may_read

    def may_see_import_errors(self) -> bool:
        """Return True."""
        return True


class Clock:
    """A clock that stands still until it is moved."""

    seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.seconds


def fill(folder: Path, *, models: int, versions: int) -> Settings:
    """Declare models, the first with many versions and the others with ten each."""
    source = ROOT / "include" / "models" / "flight_delay"
    store = LocalStore(folder / "store")
    for number in range(models):
        name = f"model_{number:03}"
        shutil.copytree(source, folder / "models" / name, ignore=shutil.ignore_patterns("__pycache__"))
        path = folder / "models" / name / "model.yaml"
        path.write_text(path.read_text().replace("name: flight_delay", f"name: {name}"))
        many = {"versions": versions, "step": timedelta(days=1)} if number == 0 else {"versions": 10}
        tell(store, load_model(path), **many)
    os.environ |= {"RATCHET_STORE": store.url, "RATCHET_MODELS": str(folder / "models")}
    return Settings.from_environment()


def measure(store: ObjectStore, settings: Settings, delay: float, repeats: int) -> dict[str, list[tuple[float, int]]]:
    """Return, by page, the seconds and the calls of the store of its first view, and the medians of later ones and of ones after a minute."""
    from ratchet_ui import pages
    from ratchet_ui.attention import RECENT
    from ratchet_ui.cache.page_cache import PageCache
    from ratchet_ui.comparison_page import draw_comparison

    viewer, now = Everyone(), datetime.now(UTC)
    draw: dict[str, Callable[[PageCache], str]] = {
        "overview": lambda found: pages.draw_models(found, viewer, "", now=now),  # type: ignore[arg-type]
        "model": lambda found: pages.draw_model(found, viewer, "model_000", "", page=1, now=now),  # type: ignore[arg-type]
        "version": lambda found: pages.draw_version(found, viewer, "model_000", versions(found)[-1], ""),  # type: ignore[arg-type]
        "comparison": lambda found: draw_comparison(found, "model_000", versions(found)[-3], versions(found)[-1], ""),
    }

    def versions(found: PageCache) -> tuple[VersionSummary, ...]:
        return found.read("model_000")[1].versions

    measured = {}
    for name, page in draw.items():
        clock = Clock()
        found = PageCache(settings, clock=clock)
        counting = CountingStore(store, delay=delay)
        found.store = counting  # type: ignore[assignment] # the pages only read
        views: dict[str, list[tuple[float, int]]] = {}
        for kind in ("first", *["again"] * repeats, *["after a minute"] * repeats):
            clock.seconds += RECENT if kind == "after a minute" else 0
            counting.reset()
            began = time.perf_counter()
            page(found)
            views.setdefault(kind, []).append((time.perf_counter() - began, len(counting.calls)))
        measured[name] = [
            (statistics.median(t), calls[-1]) for t, calls in (zip(*one, strict=True) for one in views.values())
        ]
    return measured


def main() -> None:
    """Fill a store, draw every page first and again, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--print", action="store_true", help="leave the page as it is")
    wanted = parser.parse_args()
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="ratchet-benchmark-"))
    with tempfile.TemporaryDirectory(prefix="ratchet-benchmark-") as folder, s3_bucket() as remote:
        settings = fill(Path(folder), models=wanted.models, versions=wanted.versions)
        local = LocalStore(Path(folder) / "store")
        at_once(remote, [partial(copy, local, remote, key) for key in local.list("")])
        near = measure(local, settings, 0.0, wanted.repeats)
        far = measure(remote, settings, DELAY, wanted.repeats)
    rows = [
        f"{wanted.models} models, one of {wanted.versions:,} versions; {machine()}",
        "",
        "| page | local folder: first, ms | again, ms | after a minute, ms | S3: first, ms | again, ms | after a minute, ms "
        "| calls of the store, first | again | after a minute |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, views in near.items():
        times = [f"{1000 * seconds:.0f}" for seconds, _ in (*views, *far[name])]
        rows.append(f"| {' | '.join([name, *times, *(str(calls) for _, calls in far[name])])} |")
    table = "\n".join(rows)
    print(table)  # noqa: T201 (a command's answer)
    if not wanted.print:
        put("models_page", table)


def copy(near: ObjectStore, far: ObjectStore, key: str) -> bool:
    """Copy one object to the other store."""
    return far.put_if_absent(key, near.get(key))


if __name__ == "__main__":
    main()
