"""Take the pictures of the Models page for the documentation: ``make screenshots``, after ``make demo``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from urllib.request import Request, urlopen

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from include.command_line.local_airflow.environment import USER, password  # noqa: E402 (after the path is set)
from include.command_line.local_airflow.standalone import free_port, local_airflow  # noqa: E402
from include.config.settings import Settings  # noqa: E402
from include.registry.ledger import Ledger  # noqa: E402
from include.storage.opening import open_store  # noqa: E402

READY = "main.ratchet[data-ready]"


def addresses(model: str) -> dict[str, str]:
    """Return what to take a picture of: the champion's pages, and the comparison with its incumbent."""
    timeline = Ledger(open_store(Settings.from_environment().store), model).timeline()
    champion = timeline.champion
    if champion is None:
        sys.exit(f"{model} has no champion yet: run `make demo` first")
    decision = timeline[champion].decision
    other = decision.incumbent if decision and decision.incumbent else timeline.standings[0].version
    base = "/plugin/models"
    return {
        "models": base,
        "model": f"{base}/{model}",
        "version": f"{base}/{model}/versions/{champion}",
        "compare": f"{base}/{model}/compare?version={other}&version={champion}",
    }


def main() -> None:
    """Start Airflow on what the demo left, open each page in both themes and on a phone, and end it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=ROOT / ".ratchet")
    parser.add_argument("--model", default="flight_delay")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "images")
    wanted = parser.parse_args()
    wanted.into.mkdir(parents=True, exist_ok=True)
    pages, home = addresses(wanted.model), wanted.home / "airflow"
    with local_airflow(home, port=free_port(8090), triggerer=False) as airflow, sync_playwright() as play:
        airflow.wait_ready(f"retrain_{wanted.model}")
        login = json.dumps({"username": USER, "password": password(home)}).encode()
        request = Request(f"{airflow.address}/auth/token", data=login, headers={"Content-Type": "application/json"})
        with urlopen(request, timeout=60) as answer:
            token = json.loads(answer.read())["access_token"]
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for theme, width, height in (("light", 1280, 960), ("dark", 1280, 960), ("phone", 390, 844)):
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
            )
            context.set_default_timeout(120_000)
            context.add_cookies([{"name": "_token", "value": token, "url": airflow.address}])
            page = context.new_page()
            for name, path in pages.items():
                page.goto(airflow.address + path)
                page.locator(READY).wait_for(state="attached")
                page.wait_for_timeout(500)
                page.screenshot(path=wanted.into / f"{name}-{theme}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
