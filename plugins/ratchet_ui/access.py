"""Who may see and do what: Airflow's own answers, asked for each request.

This is the only module that imports what is private to Airflow's core; a test holds the others to its public interface.
"""

from __future__ import annotations

from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.models.dag import DagModel
from fastapi import Depends, Header, HTTPException


def from_here(
    sec_fetch_site: Annotated[str | None, Header()] = None, sec_fetch_mode: Annotated[str | None, Header()] = None
) -> None:
    """Refuse what another site's page asks for; a person who follows a link is welcome.

    The session cookie does not travel with such a request anyway (SameSite=Lax); this holds if it ever should.
    """
    if sec_fetch_site == "cross-site" and sec_fetch_mode != "navigate":
        raise HTTPException(403, "Pages of other sites may not read this one.")


ASKED_OF_EVERY_ROUTE = [Depends(from_here), Depends(get_user)]


class Viewer:
    """The viewer of a page, and what Airflow permits them to see and do."""

    def __init__(self, user: GetUserDep) -> None:
        self.user = user
        self.dags: set[str] = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")

    def may_read(self, model: str) -> bool:
        """Whether the model's DAG is there and may be read."""
        return f"retrain_{model}" in self.dags

    def may_trigger(self, dag: str) -> bool:
        """Whether the DAG is there and may be triggered."""
        if dag not in self.dags:
            return False
        details = DagDetails(id=dag, team_name=DagModel.get_team_name(dag))
        return bool(
            get_auth_manager().is_authorized_dag(
                method="POST", access_entity=DagAccessEntity.RUN, details=details, user=self.user
            )
        )

    def may_see_import_errors(self) -> bool:
        """Whether Airflow would show what is wrong with a DAG file."""
        return bool(get_auth_manager().is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=self.user))


ViewerDep = Annotated[Viewer, Depends(Viewer)]
