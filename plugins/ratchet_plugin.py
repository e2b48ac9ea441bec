"""What Ratchet adds to Airflow itself."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ratchet_operators import warm


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests under ``/ratchet``.

    Every Airflow process loads the plugins, but only the API server is asked for pages: it alone imports what they need.
    """
    from ratchet_ui.app import app

    await app(scope, receive, send)


class RatchetPlugin(AirflowPlugin):
    """Pages under ``/ratchet``, read with the viewer's own rights, and imports paid once for all tasks."""

    name = "ratchet"
    fastapi_apps: list[dict[str, Any]] = [{"name": "ratchet", "app": pages, "url_prefix": "/ratchet"}]  # noqa: RUF012 (Airflow's own attribute)
    listeners: list[Any] = [warm]  # noqa: RUF012
