"""The pages that benchmarks write their figures into, docs/performance.md first of all: each between its own marks."""

from __future__ import annotations

import os
import platform
import timeit
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
LIBRARIES = ("apache-airflow", "pandas", "scikit-learn", "great-expectations")


def put(part: str, text: str, path: Path = PAGE) -> None:
    """Write the figures of one benchmark between ``<!-- part -->`` and ``<!-- end -->``."""
    page = path.read_text()
    start = page.index(f"<!-- {part} -->\n") + len(f"<!-- {part} -->\n")
    path.write_text(page[:start] + text + "\n" + page[page.index("<!-- end -->", start) :])


def machine() -> str:
    """Say what was measured on, and how fast it was then: virtual machines of one name differ by a factor of three."""
    additions = min(timeit.repeat("for number in range(1_000_000): total += number", "total = 0", number=1, repeat=7))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    cores = f"{os.cpu_count()} cores (a million additions in Python: {additions * 1000:.0f} ms)"
    return f"{cores}, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}, {libraries}."
