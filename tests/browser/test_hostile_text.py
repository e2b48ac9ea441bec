"""Text of rows and people does nothing in a real browser, even without the headers that would stop it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user
from tests.plugins.test_drawn_pages import Ada
from tests.plugins.test_hostile_text import NAME, PAYLOADS, Hostile

pytestmark = [pytest.mark.system, pytest.mark.timeout(1800)]


def test_no_page_runs_what_a_text_holds(chromium: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[str] = []
    context = chromium.new_context()
    context.expose_function("planted", lambda *_: fired.append("ran"))
    context.route(
        "**/*", lambda route: fired.append(route.request.url) if "evil" in route.request.url else route.abort()
    )
    page = context.new_page()
    pages.app.dependency_overrides |= {get_user: lambda: "ada", Viewer: Ada}
    try:
        page.set_content("<img src=x onerror=planted()>")
        page.wait_for_timeout(300)
        assert fired == ["ran"], "here it would be seen"
        fired.clear()
        for number, payload in enumerate(PAYLOADS.values()):
            world = Hostile(tmp_path / str(number), payload)
            monkeypatch.setenv("RATCHET_STORE", world.store.url)
            monkeypatch.setenv("RATCHET_MODELS", str(world.models))
            version = f"/models/{NAME}/versions/{world.ids[1]}"
            for path in (f"/models/{NAME}", version, f"{version}/card"):
                page.set_content(TestClient(pages.app).get(path).text)
                page.evaluate(
                    "document.querySelectorAll('*').forEach((e) => { e.focus?.(); e.dispatchEvent(new MouseEvent('mouseover')) })"
                )
                assert fired == [], (payload, path)
    finally:
        pages.app.dependency_overrides.clear()
        context.close()
