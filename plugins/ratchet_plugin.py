"""The Airflow plugin: it registers the Models page and the listeners."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from ratchet_operators import run_note, warm
from ratchet_ui.files import address


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests under ``/ratchet``.

    Every Airflow process loads the plugins, but only the API server is asked for pages: it alone imports what they need.
    """
    from ratchet_ui.app import app

    await app(scope, receive, send)


class RatchetPlugin(AirflowPlugin):
    """The Models page in Airflow's menu, and the pages under ``/ratchet``, read with the viewer's own rights."""

    name = "ratchet"
    fastapi_apps: list[dict[str, Any]] = [{"name": "ratchet", "app": pages, "url_prefix": "/ratchet"}]  # noqa: RUF012 (Airflow's own attribute)
    react_apps: list[dict[str, Any]] = [  # noqa: RUF012 (Airflow's own attribute)
        {
            "name": "Models",
            "url_route": "models",
            "destination": "nav",
            "nav_top_level": True,
            # Relative to the page's <base>, so that Airflow may live under a path of its own.
            "bundle_url": f"ratchet/{address('models.js')}",
            "icon": f"ratchet/{address('light.svg')}",
            "icon_dark_mode": f"ratchet/{address('dark.svg')}",
        }
    ]
    listeners: list[Any] = [run_note, warm]  # noqa: RUF012 (Airflow's own attribute)
