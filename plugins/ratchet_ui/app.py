"""Serve the pages that tasks wrote, quality reports and model cards, to those who may read the model's DAG."""

from __future__ import annotations

import re
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import Depends, FastAPI, HTTPException, Path
from fastapi.responses import HTMLResponse

from include.config.settings import Settings
from include.errors import ObjectMissing, RatchetError
from include.storage.content import get_content
from include.storage.opening import open_store
from ratchet_operators.connections import s3_client

app = FastAPI(title="Ratchet", dependencies=[Depends(get_user)], docs_url=None, redoc_url=None, openapi_url=None)

# The pages hold no script and load nothing; should a value ever slip through the templates' escaping, it can't act.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, max-age=86400, immutable",
}
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


@app.get("/{model}/{folder}/{digest}", response_class=HTMLResponse)
def page(
    user: GetUserDep,
    model: Annotated[str, Path(pattern=_NAME.pattern)],
    folder: Annotated[str, Path(pattern="^(checks|cards)$")],
    digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
) -> HTMLResponse:
    """Return one page, its bytes verified."""
    if f"retrain_{model}" not in get_auth_manager().get_authorized_dag_ids(user=user, method="GET"):
        raise HTTPException(404, "There is no such page, or you may not read this model's DAG.")
    settings = Settings.from_environment()
    store = open_store(settings.store, s3_client=lambda: s3_client(settings.store_connection))
    try:
        body = get_content(store, f"{model}/{folder}", ".html", digest)
    except ObjectMissing:
        raise HTTPException(404, "There is no such page, or you may not read this model's DAG.") from None
    except RatchetError as error:
        raise HTTPException(503, error.message) from error
    return HTMLResponse(body, headers=_HEADERS)
