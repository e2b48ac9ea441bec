"""The server's processes: one that holds the socket and watches, and workers that answer, each replaced when it dies."""

from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

from include.config.load import load_models
from include.config.settings import Settings
from include.errors import ConfigError, did_you_mean
from include.serving.platforms import Platform, platform_of
from include.serving.settings import Address, ServingSettings

log = logging.getLogger(__name__)

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_CONNECTIONS = 1024
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve(models: list[str], address: Address, workers: int) -> None:
    """Serve until asked to end.

    Parameters
    ----------
    models : list of str
        Names of declared models; those of the settings, or all of them, if empty.

    Raises
    ------
    ConfigError
        When a model is not declared, or anybody could ask without saying who they are.
    """
    settings, serving, platform = (
        Settings.from_environment(),
        ServingSettings.from_environment(),
        platform_of(os.environ),
    )
    names = _names(settings.models, models or list(serving.models))
    address = _allowed(address, serving, platform)
    shared = Path(tempfile.mkdtemp(prefix="ratchet-serving-"))
    # Before prometheus_client is imported, which looks once.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(shared)
    try:
        with _listening(address) as listener:
            log.info("%s on %s:%d, %d workers", ", ".join(names), address.host, listener.getsockname()[1], workers)
            _Workers(names, settings, serving, platform, address, listener).run(workers)
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def _names(folder: Path, wanted: list[str]) -> list[str]:
    declared, broken = load_models(folder)
    names = [model.declared_name for model in declared]
    for name in wanted:
        if name not in names:
            if found := [one.error for one in broken if one.name == name]:
                raise found[0]
            raise ConfigError(
                f"There is no model {name}.",
                expected=", ".join(names) or "a declared model",
                found=name,
                where=folder,
                remedy=did_you_mean(name, names),
            )
    for one in broken:
        log.warning("%s is not served: %s", one.name, one.error.message)
    if not (wanted or names):
        raise ConfigError("There is no model to serve.", where=folder)
    return list(dict.fromkeys(wanted or names))


def _allowed(address: Address, serving: ServingSettings, platform: Platform) -> Address:
    """Return where to listen; without a way to tell callers apart that is this machine only."""
    if platform.port is not None:
        address = Address("0.0.0.0", platform.port, address.certificate, address.key)  # noqa: S104 - behind the platform's own gateway
    if address.host not in _LOOPBACK and not serving.asks_who and not platform.fronted:
        raise ConfigError(
            "Anyone could send requests to this server.",
            expected="tokens or JWTs, or an address of this machine only: 127.0.0.1",
            found=address.host,
            where="--host",
            remedy="set RATCHET_SERVING_TOKENS (see `python -m include token`), or RATCHET_SERVING_JWT_KEYS, _ISSUER and _AUDIENCE",
        )
    if (address.certificate is None) != (address.key is None):
        raise ConfigError(
            "TLS needs both files.", expected="a certificate and its key", where="--certificate and --key"
        )
    if address.certificate is not None and address.key is not None:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(address.certificate, address.key)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                "The certificate can't be used.",
                expected="PEM files of a certificate and its key",
                found=type(error).__name__,
                where=address.certificate,
            ) from error
    return address


def _listening(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            "The server can't listen on this address.", found=error.strerror, where=f"{address.host}:{address.port}"
        ) from error
    listener.listen(_CONNECTIONS)
    listener.setblocking(False)
    return listener


class _Workers:
    """Forks workers that share one listening socket.

    What they need is imported before the first fork, so that a worker that takes the place of a dead one answers after it has
    loaded its models and nothing else. No thread is started here: a fork would lose it.
    """

    def __init__(
        self,
        names: list[str],
        settings: Settings,
        serving: ServingSettings,
        platform: Platform,
        address: Address,
        listener: socket.socket,
    ) -> None:
        self.names = names
        self.settings = settings
        self.serving = serving
        self.platform = platform
        self.address = address
        self.listener = listener
        self._running: dict[int, float] = {}
        self._ending = False

    def run(self, count: int) -> None:
        """Keep ``count`` workers running until a signal ends the server."""
        from include.serving import worker  # everything of weight

        for number in _SIGNALS:
            signal.signal(number, self._end)
        worker.check(self.names, self.settings, self.serving)
        # What is imported stays: no collection of a worker looks through it, and its pages stay shared.
        gc.collect()
        gc.freeze()
        for _ in range(count):
            self._fork()
        while self._running:
            pid, status = os.waitpid(-1, 0)
            began = self._running.pop(pid, None)
            if began is None:  # as the first process of a container it is handed orphans
                continue
            worker.forget(pid)
            if self._ending:
                continue
            log.warning("Worker %d ended (%s); another takes its place", pid, _reason(status))
            # One that dies as it starts would be forked in a circle.
            time.sleep(max(0.0, min(1.0, 1.0 - (time.monotonic() - began))))
            self._fork()

    def _fork(self) -> None:
        """Start a worker, unless a signal has said to end."""
        from include.serving import worker

        # A signal waits until the worker is known here, and ends a worker that would else run its copy of `_end`.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = None if self._ending else os.fork()
        if pid != 0:
            if pid is not None:
                self._running[pid] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return
        status = 1
        try:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            worker.run(self.names, self.settings, self.serving, self.platform, self.address, self.listener)
            status = 0
        except BaseException as error:  # noqa: BLE001 - a worker must never return into the code that forked it
            log.error("A worker failed: %s", error)
        finally:
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _end(self, number: int, frame: object) -> None:
        if self._ending and number != signal.SIGHUP:
            return
        self._ending = True
        for pid in self._running:
            try:
                os.kill(pid, signal.SIGTERM)
            except ProcessLookupError:
                continue


def _reason(status: int) -> str:
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"status {os.waitstatus_to_exitcode(status)}"
