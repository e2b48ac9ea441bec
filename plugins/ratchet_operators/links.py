"""Links from a task to the page that it wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlparse

import attrs
from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


@attrs.define
class PageLink(BaseOperatorLink):
    """Leads to the page that the operator named in its attribute ``page``, ``<model>/<folder>/<digest>``."""

    name: str = "Page"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page, or nothing if the task wrote none."""
        page = getattr(operator, "page", None)
        return f"{root()}/ratchet/{page}" if page else ""


@attrs.define
class WatchLink(BaseOperatorLink):
    """Leads to the page of a model that shows how its champion is watched."""

    name: str = "Watch"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the address of the page."""
        return f"{root()}/plugin/models/{ti_key.dag_id.partition('_')[2]}/watch"


def root() -> str:
    """Return the path under which Airflow is reached."""
    return urlparse(base_url()).path.rstrip("/")


def base_url() -> str:
    """Return the address under which Airflow is reached; empty if the deployment does not set it."""
    from airflow.sdk import conf

    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")
