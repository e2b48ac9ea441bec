"""Take the pictures of model cards for the documentation: each model's newest judged version, the whole page.

python tests/browser/card_pictures.py flight_delay diabetes_progression aircraft_segments
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from include.config.settings import Settings  # noqa: E402 (after the path is set)
from include.registry.ledger import Ledger  # noqa: E402
from include.storage.opening import open_store  # noqa: E402

WIDTH = 1040


def card_of(model: str) -> bytes:
    """Return the card of the version that was decided on last."""
    store = open_store(Settings.from_environment().store)
    (*_, newest) = (one for one in Ledger(store, model).timeline().standings if one.decision is not None)
    assert newest.decision is not None
    named = (newest.version.encode(), newest.decision.evidence.encode())
    pages = (store.get(key) for key in store.list(f"{model}/cards/"))
    return next(page for page in pages if all(name in page for name in named))


def main() -> None:
    """Open each card in a browser, light, and keep a picture of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--into", type=Path, default=ROOT / "docs" / "images")
    wanted = parser.parse_args()
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for model in wanted.models:
            page = browser.new_page(viewport={"width": WIDTH, "height": 800}, color_scheme="light")
            page.set_content(card_of(model).decode())
            page.screenshot(
                path=wanted.into / f"card-{model.replace('_', '-')}.jpg", type="jpeg", quality=60, full_page=True
            )
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
