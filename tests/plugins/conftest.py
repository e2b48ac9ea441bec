"""What several tests of operators and pages share: a small model with one champion, and a client who may do everything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from turned_segments import scored_segments  # noqa: F401 (a fixture)
from watched import april  # noqa: F401 (a fixture)

from ratchet_ui import app as pages
from ratchet_ui.access import Viewer, get_user


class Ada:
    """Somebody who may do everything."""

    def may_read(self, model: str) -> bool:
        return True

    def may_trigger(self, dag: str) -> bool:
        return True


@pytest.fixture
def client() -> Iterator[TestClient]:
    """Ada's client of the pages."""
    pages.app.dependency_overrides[get_user] = lambda: "ada"
    pages.app.dependency_overrides[Viewer] = Ada
    yield TestClient(pages.app)
    pages.app.dependency_overrides.clear()
