"""Choose the challenger among the fitted candidates and give it its version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.operator import RatchetOperator, actor_of, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class Select(RatchetOperator):
    """Choose the candidate with the best validation score; the holdout takes no part in it.

    Parameters
    ----------
    fitted : list of dict
        What the training tasks handed over (templated).
    """

    template_fields: Sequence[str] = ("handed", "fitted")

    def __init__(self, *, fitted: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.fitted = fitted

    def work(self, context: Context) -> dict[str, Any]:
        """Return the version's id; in earnest, after putting on record that it exists."""
        from include.registry.ledger import Ledger
        from include.registry.selection import choose_challenger
        from include.storage.content import from_iso

        config, store = self.config, self.open_store()
        fits = {name: key for handed in self.fitted if handed for name, key in handed["fits"].items()}
        version = choose_challenger(store, config, from_iso(self.handed["as_of"]), fits)
        if self.handed["mode"] == "enforce":
            Ledger(store, config.name).register(version, actor=actor_of(context), at=now())
        return {**self.handed, "version": version.id}
