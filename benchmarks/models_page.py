"""How long the Models page takes with 100 models and a model of 1,000 versions, in the server, after warm-up.

Run ``.venv/bin/python benchmarks/models_page.py``. Nothing is trained; the store is a folder that is removed again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "plugins"), str(ROOT / "tests")]

from include.config.load import load_model  # noqa: E402
from include.config.settings import Settings  # noqa: E402
from include.storage.local import LocalStore  # noqa: E402
from tests.histories import tell  # noqa: E402 (after the path is set)

ALLOWED = 0.3


class Everyone:
    """A viewer who may do everything, so that every button is drawn."""

    def may_read(self, model: str) -> bool:
        """Return True."""
        return True

    may_trigger = may_read

    def may_see_import_errors(self) -> bool:
        """Return True."""
        return True


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


def main() -> None:
    """Fill a store, draw every page first cold and then warm, and fail if one takes longer than is allowed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=100)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=20)
    wanted = parser.parse_args()
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="ratchet-benchmark-"))
    from ratchet_ui import pages
    from ratchet_ui.comparison_page import draw_comparison
    from ratchet_ui.page_cache import page_cache

    with tempfile.TemporaryDirectory(prefix="ratchet-benchmark-") as folder:
        found = page_cache(fill(Path(folder), models=wanted.models, versions=wanted.versions))
        viewer, now = Everyone(), datetime.now(UTC)
        big = found.read("model_000")[1].versions
        drawings: dict[str, Callable[[], str]] = {
            "overview": lambda: pages.draw_models(found, viewer, "", now=now),  # type: ignore[arg-type]
            "model": lambda: pages.draw_model(found, viewer, "model_000", "", page=1, now=now),  # type: ignore[arg-type]
            "version": lambda: pages.draw_version(found, viewer, "model_000", big[-1], ""),  # type: ignore[arg-type]
            "compare": lambda: draw_comparison(found, "model_000", big[-3], big[-1], ""),
        }
        print(f"{wanted.models} models, one of {wanted.versions} versions; milliseconds")  # noqa: T201 (a program's output)
        print(f"{'page':10} {'cold':>8} {'median':>8} {'slowest':>8} {'kB':>7}")  # noqa: T201
        slow = []
        for name, draw in drawings.items():
            times = []
            for _ in range(1 + wanted.repeats):
                began = time.perf_counter()
                text = draw()
                times.append(time.perf_counter() - began)
            cold, warm = times[0], times[1:]
            figures = [f"{1000 * value:8.1f}" for value in (cold, statistics.median(warm), max(warm))]
            print(f"{name:10} {' '.join(figures)} {len(text) / 1000:7.0f}")  # noqa: T201
            if statistics.median(warm) > ALLOWED:
                slow.append(name)
    if slow:
        sys.exit(f"slower than {1000 * ALLOWED:.0f} ms: {', '.join(slow)}")


if __name__ == "__main__":
    main()
