"""One worker process: uvicorn around the routes. Importing this imports everything that a prediction needs."""

from __future__ import annotations

import ctypes
import signal
import socket
import sys

import sklearn.ensemble
import sklearn.linear_model
import sklearn.pipeline  # noqa: F401
import skops.io  # noqa: F401 - imported before workers are forked
import uvicorn
from threadpoolctl import threadpool_limits

from include.config.settings import Settings
from include.serving import metrics
from include.serving.access import Access
from include.serving.app import Server
from include.serving.live_versions import LiveModels, open_models
from include.serving.platforms import Platform
from include.serving.request_log import RequestLogger
from include.serving.settings import Address, ServingSettings
from include.storage.opening import open_store

_KEEP_ALIVE_SECONDS = 75
"""Longer than the load balancers before it keep a connection, so that none sends into one that is closing."""
_CONNECTIONS = 1024
_PARENT_DIED = 1  # PR_SET_PDEATHSIG
_SWITCH_SECONDS = 0.0005
"""After how long a thread that writes the request log or polls the store is asked to leave the interpreter to a waiting request."""


def check(names: list[str], settings: Settings, serving: ServingSettings) -> None:
    """Raise `ConfigError` for everything that would keep workers from starting."""
    Access(serving)
    _logger(names, settings, serving)


def forget(worker: int) -> None:
    """Forget the gauges of a dead worker."""
    metrics.forget(worker)


def run(
    names: list[str],
    settings: Settings,
    serving: ServingSettings,
    platform: Platform,
    address: Address,
    listener: socket.socket,
) -> None:
    """Answer requests until a signal ends the worker; accepted requests are answered first.

    Parameters
    ----------
    names : list of str
        Names of the models to serve.
    settings : Settings
        The deployment's settings.
    serving : ServingSettings
        The server's settings.
    platform : Platform
        What the managed platform asks of the container.
    address : Address
        Certificate and key, when the server speaks TLS.
    listener : socket.socket
        The socket that requests come in on.
    """
    _die_with_parent()
    sys.setswitchinterval(_SWITCH_SECONDS)
    threadpool_limits(limits={"openmp": settings.threads, "blas": 1})
    store = open_store(settings.store)
    models = open_models(store, settings.models, names, in_memory=serving.segments_in_memory)
    live = LiveModels(models, poll_seconds=serving.poll_seconds)
    server = Server(live, _logger(names, settings, serving), serving, platform)
    config = uvicorn.Config(
        server.app(Access(serving)),
        http="httptools",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,  # of requests only counts are kept
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(serving.timeout_seconds),
        ssl_certfile=address.certificate,
        ssl_keyfile=address.key,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _logger(names: list[str], settings: Settings, serving: ServingSettings) -> RequestLogger:
    store = open_store(settings.store)
    kept = {
        model.declared.name: model.declared.serving.request_log
        for model in open_models(store, settings.models, names)
        if model.declared.serving.request_log is not None
    }
    return RequestLogger(store, kept, serving)


def _die_with_parent() -> None:
    """Have the kernel end this worker when who watches it is killed; elsewhere than on Linux it goes on alone."""
    try:
        ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGTERM)
    except (OSError, AttributeError):
        return
