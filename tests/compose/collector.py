"""What the collector of docker-compose.yaml does with Airflow's numbers: takes them by OpenTelemetry, shows them to Prometheus.

Names and labels are as its exporter makes them: a counter's name ends in ``_total``; ``instance`` is the process that sent the
number, and each of Airflow's tasks is one. What was not sent again for five minutes goes. Histograms are left out.
"""

from __future__ import annotations

import gzip
import re
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

KEPT = 300.0
numbers: dict[str, tuple[float, float]] = {}
changing = threading.Lock()


def series(request: Any) -> Iterator[tuple[str, float]]:
    """Return each number by its name and labels."""
    for resource in request.resource_metrics:
        sender = {item.key: item.value.string_value for item in resource.resource.attributes}
        origin = {"job": sender["service.name"], "instance": sender["service.instance.id"]}
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            kind = metric.WhichOneof("data")
            name = re.sub("[^a-zA-Z0-9_]", "_", metric.name)
            if kind == "sum" and metric.sum.is_monotonic:
                name = "_".join([*(part for part in name.split("_") if part != "total"), "total"])
            for point in getattr(metric, kind).data_points if kind in ("sum", "gauge") else ():
                labels = {item.key: text(item.value) for item in point.attributes} | origin
                shown = ",".join(f'{re.sub("[^a-zA-Z0-9_]", "_", key)}="{labels[key]}"' for key in sorted(labels))
                yield f"{name}{{{shown}}}", float(getattr(point, point.WhichOneof("value")))


def text(value: Any) -> str:
    """Return a label's value as Prometheus reads it."""
    found = str(getattr(value, value.WhichOneof("value"))) if value.WhichOneof("value") else ""
    return found.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


class Collector(BaseHTTPRequestHandler):
    def do_POST(self) -> None:  # what Airflow sends
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        with changing:
            for name, value in series(ExportMetricsServiceRequest.FromString(body)):
                numbers[name] = value, time.monotonic()
        self.answer(b"")

    def do_GET(self) -> None:  # what Prometheus fetches
        with changing:
            for name in [name for name, (_, seen) in numbers.items() if time.monotonic() - seen > KEPT]:
                del numbers[name]
            lines = [f"{name} {value!r}\n" for name, (value, _) in sorted(numbers.items())]
        self.answer("".join(lines).encode())

    def answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    threading.Thread(target=ThreadingHTTPServer(("", 4318), Collector).serve_forever, daemon=True).start()
    ThreadingHTTPServer(("", 8889), Collector).serve_forever()
