"""The served versions: the champion of each model, replaced within seconds of the ledger's event."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from include.config.load import load_model
from include.config.model import ModelConfig
from include.config.sections.serving import Challenger
from include.errors import RatchetError, StoreUnavailable
from include.registry.ledger import Ledger
from include.registry.timeline import Timeline
from include.registry.version_states import Outcome
from include.serving import metrics
from include.serving.live.segments import IN_MEMORY, LiveSegments
from include.serving.live.served import RETRY_SECONDS, Served, compile_single, open_served
from include.storage.store import ObjectStore

log = logging.getLogger(__name__)

ALIAS = "alias:"
"""What an alias begins with where the declaration names a version."""


@dataclass(eq=False)
class LiveModel:
    """One model: the version that answers, the version that predicts in addition, and the problem if there is none.

    Only the watching thread writes; a request reads `champion` and `beside` once.
    """

    store: ObjectStore
    folder: Path
    declared: ModelConfig
    in_memory: int = IN_MEMORY
    """How many versions of segments may be in memory."""
    champion: Served | None = None
    beside: Served | None = None
    problem: str | None = "it is being loaded"
    """Why the champion of the ledger does not answer; None if it does."""
    _wanted: tuple[str | None, str | None] = (None, None)
    _asked: bool = False
    _retry_at: float | None = None
    segments: LiveSegments = field(init=False)
    """The versions of segments that are in force."""
    _ledger: Ledger = field(init=False)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.store, self.declared.name)
        self.segments = LiveSegments(self.store, self.folder, self.declared, self.in_memory)

    @property
    def name(self) -> str:
        """The model's name."""
        return self.declared.declared_name

    @property
    def answers(self) -> bool:
        """Whether it answers requests."""
        return self.champion is not None and self.segments.known

    def look(self, now: float) -> bool:
        """Ask the ledger for news, in one call of the store, and put in force what it says; of a model with segments in one more.

        Returns
        -------
        bool
            Whether a version is in memory that is not compiled yet, now or since the store did not answer.

        Raises
        ------
        StoreUnavailable
            When the store does not answer; what is served stays.
        """
        self._look(now)
        own = (self.champion, self.beside)
        return self.segments.look() or any(one is not None and not one.compiled for one in own)

    def _look(self, now: float) -> None:
        due = self._retry_at is not None and now >= self._retry_at
        if self._asked and not due and not self._ledger.has_news():
            return
        timeline = self._ledger.timeline()
        wanted = (timeline.champion, _beside(timeline, self.declared.serving.challenger))
        if self._asked and wanted == self._wanted and not due:
            return
        self._drop_withdrawn(timeline)
        # Until both are loaded: whatever the error, such as a full disk, they are tried again.
        self._wanted, self._asked, self._retry_at = wanted, True, now + RETRY_SECONDS
        try:
            self._load(*wanted)
            self._retry_at = None
        except RatchetError as error:
            answers = self.champion is not None and self.champion.version == wanted[0]
            refused = wanted[1] if answers else wanted[0]
            if not answers:
                self.problem = f"{refused} can't be served: {error.message}"
            if isinstance(error, StoreUnavailable):
                self._retry_at = now
                raise
            metrics.REFUSED.labels(self.name).inc()
            log.error("%s: %s can't be served: %s", self.name, refused, error.message)

    def _load(self, champion: str | None, beside: str | None) -> None:
        """Bring both versions in force, holding two in memory at most."""
        before = self.champion
        here = {served.version: served for served in (self.champion, self.beside) if served is not None}
        if champion is None:
            self.champion, self.problem = None, "it has no champion yet"
        elif champion in here:
            self.champion, self.problem = here[champion], None
        else:
            # Room first: of the two in memory only the one that answers stays.
            self.beside = None
            here = {name: served for name, served in here.items() if served is before}
            self.champion, self.problem = open_served(self._ledger, self.declared, self.folder, champion), None
        if self.champion is not before:
            metrics.SWAPS.labels(self.name).inc()
            log.info("%s: %s answers now", self.name, champion or "nobody")
        self.beside = None
        as_of = self.champion.predictor.version.as_of.timestamp() if self.champion else 0
        metrics.CHAMPION.labels(self.name).set(as_of)
        if beside is not None and self.champion is not None:
            known = here.get(beside)
            before = None
            here.clear()
            self.beside = known or open_served(self._ledger, self.declared, self.folder, beside)
            log.info("%s: %s predicts beside", self.name, beside)

    def _drop_withdrawn(self, timeline: Timeline) -> None:
        """Stop serving a withdrawn version, whether its predecessor can be loaded or not."""
        if self.champion is not None and timeline[self.champion.version].withdrawn is not None:
            self.champion = None
            metrics.CHAMPION.labels(self.name).set(0)
        if self.beside is not None and timeline[self.beside.version].withdrawn is not None:
            self.beside = None

    def compile(self) -> None:
        """Compile what is not compiled yet, and use it if it gives the same numbers: of segments one at a time, between two looks."""
        segment = next((one for one in self.segments.loaded if not one.compiled), None)
        for served in (self.champion, self.beside, segment):
            if served is not None:
                compile_single(self.store, self.folder, served)


def _beside(timeline: Timeline, challenger: Challenger | None) -> str | None:
    """Return the version that predicts in addition to the champion."""
    champion = timeline.champion
    if challenger is None or champion is None:
        return None
    if challenger.version == "predecessor":
        return timeline.incumbent_of(champion)
    if challenger.version != "held":
        pointed = timeline.aliases.get(challenger.version.removeprefix(ALIAS))
        return pointed if pointed != champion else None
    held = [
        one
        for one in timeline.standings
        if one.withdrawn is None and one.decision is not None and one.decision.outcome is Outcome.HOLD
    ]
    return held[-1].version if held and held[-1].order > timeline[champion].order else None


class LiveModels:
    """All models of a server, watched by one thread."""

    def __init__(self, models: Iterable[LiveModel], *, poll_seconds: float) -> None:
        self.models = {model.name: model for model in models}
        self.poll_seconds = poll_seconds
        self._known: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ratchet-watch", daemon=True)

    def start(self) -> None:
        """Start to watch; models are loaded one after the other."""
        self._thread.start()

    def stop(self) -> None:
        """Stop watching, and wait for the end of it."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    @property
    def ready(self) -> bool:
        """Whether a model answers, and of every other it is known that it does or why not: one model takes no other out of service."""
        return len(self._known) == len(self.models) and any(model.answers for model in self.models.values())

    def look(self) -> None:
        """Look at every ledger once."""
        away = False
        loaded = []
        for model in self.models.values():
            try:
                if model.look(time.monotonic()):
                    loaded.append(model)
            except StoreUnavailable as error:
                away = True
                log.warning("%s: the store does not answer; what is served stays: %s", model.name, error.message)
                continue
            except RatchetError as error:
                model.problem = error.message
                log.error("%s: its ledger can't be read; what is served stays: %s", model.name, error.message)
            self._known.add(model.name)
        metrics.STORE_AWAY.set(away)
        for model in loaded:
            model.compile()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 - any error: the next look must happen
                log.error("Looking at the ledgers failed: %s", type(error).__name__)
            self._stop.wait(self.poll_seconds)


def open_models(
    store: ObjectStore, models: Path, names: Iterable[str], *, in_memory: int = IN_MEMORY
) -> list[LiveModel]:
    """Return the models of some names, with nothing loaded yet.

    Parameters
    ----------
    store : ObjectStore
    models : Path
        The folder of declarations.
    names : iterable of str
    in_memory : int
        How many versions of segments may be in memory, of each model.

    Raises
    ------
    ConfigError
        When one is not declared as it must be.
    """
    return [LiveModel(store, models / name, load_model(models / name / "model.yaml"), in_memory) for name in names]
