"""HTTP endpoint for Prometheus: metrics of all models, read from the store at each scrape."""

from __future__ import annotations

import logging
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from include.config.load import load_models
from include.errors import RatchetError
from include.monitoring.report.prometheus_metrics import exposition, gauges_of
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)


def exporter(store: ObjectStore, models: Path, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server of ``GET /metrics`` that a caller lets run; a model that can't be read does not hide the others.

    Parameters
    ----------
    store : ObjectStore
        Holds the models' ledgers; read at each request.
    models : Path
        Folder of the declared models.
    host, port : str, int
        Address to listen on.
    """

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = numbers(store, models).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            log.debug(format, *arguments)

    return ThreadingHTTPServer((host, port), Answer)


def numbers(store: ObjectStore, models: Path) -> str:
    """Return the numbers of all declared models in Prometheus' text format."""
    found = {}
    for model in load_models(models)[0]:
        try:
            found[model.declared_name] = gauges_of(store, model)
        except RatchetError as error:
            log.error("%s has no numbers: %s", model.declared_name, error.message)
    return exposition(found)
