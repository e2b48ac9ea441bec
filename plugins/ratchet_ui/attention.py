"""What needs a person, model by model: what its ledger says, and what was found out since about its champion and by its audits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial

from include.config.model import ModelConfig
from include.errors import ObjectCorrupt, ObjectMissing, RatchetError, RegistryError
from include.registry.history.summary import History, attention_needed
from include.registry.history.trained_on import describe_retractions
from include.storage.concurrency import at_once
from ratchet_ui.cache.page_cache import PageCache

RECENT = 60.0
"""For so many seconds a web process takes on the overview what it read last of audits, retractions and checks of libraries; ledgers it reads anew for each view."""

Sentences = list[tuple[str, str]]
"""What kind of thing it is, and what it is."""


def look_at(cache: PageCache, models: Sequence[ModelConfig], now: datetime) -> list[tuple[History, Sentences]]:
    """Return each model's history and what needs a person, for the overview; a model that can't be read does not hide the others.

    Parameters
    ----------
    cache : PageCache
    models : sequence of ModelConfig
    now : datetime
        The instant that ages and missed runs are counted to.
    """

    def look(model: ModelConfig) -> tuple[History, Sentences]:
        name, said = model.declared_name, []
        try:
            history = cache.read(name)[1]
        except RatchetError as error:
            history = History(name, ())
            said = [("unreadable", f"its ledger can't be read: {error.message}")]
        said += attention_needed(model, history, now)
        said += _failed_audits(cache, name) if model.schedule.audit is not None else ()
        return history, [*said, *found_since(cache, history, seconds=RECENT)]

    return at_once(cache.store, [partial(look, model) for model in models])


def found_since(cache: PageCache, history: History, *, seconds: float = 0) -> Iterator[tuple[str, str]]:
    """Yield what tasks found wrong with the champion under the libraries that are installed here, and what was taken back of its rows.

    A record that is damaged or missing is passed over: verification names it.

    Parameters
    ----------
    cache : PageCache
    history : History
        The model's.
    seconds : float
        How old it may be.
    """
    champion = history.champion
    if champion is None:
        return

    def libraries() -> str | None:
        return cache.library_problem(history.model, champion, seconds=seconds)

    def retracted() -> str | None:
        gone = cache.retracted(history.model, champion, seconds=seconds)
        said = (
            f"its champion was trained or evaluated on rows that were taken back since: {describe_retractions(gone)}."
        )
        return said if gone else None

    looks: dict[str, Callable[[], str | None]] = {"libraries": libraries, "retracted": retracted}
    for kind, look in looks.items():
        try:
            if (said := look()) is not None:
                yield kind, said
        except (ObjectMissing, ObjectCorrupt, RegistryError):
            continue
        except RatchetError as error:
            yield "unreadable", f"what was found out about its champion can't be read: {error.message}"


def _failed_audits(cache: PageCache, model: str) -> Sentences:
    try:
        wrong = cache.audited(model, seconds=RECENT).wrong
    except RatchetError as error:
        return [("audit", f"its audits can't be read: {error.message}")]
    said = f"{len(wrong)} things on record are not what they were; its page names them."
    return [("audit", said)] if wrong else []
