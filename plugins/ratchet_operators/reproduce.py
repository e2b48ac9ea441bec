"""Train a version again from its record, and compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ratchet_operators.champion_asset import ChampionOperator
from ratchet_operators.connections import AirflowConnections
from ratchet_operators.lineage import Lineage, LineageDataset, rows_of, stored
from ratchet_operators.links import PageLink
from ratchet_operators.notify import News, version_page
from ratchet_operators.run_instants import now

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow.sdk import BaseOperatorLink, Context

    from include.storage.store import ObjectStore


class Reproduce(ChampionOperator):
    """Reproduce the version that the form names, or the champion; with *rebuild*, replace it by the new version.

    The task fails without retries if the version does not reproduce, after the report is stored and linked.
    """

    operator_extra_links: Collection[BaseOperatorLink] = (PageLink("Reproduction"),)

    def work(self, context: Context) -> dict[str, Any]:
        """Return the outcome and the digest of the report; of a rebuild, the rebuilt version as well."""
        return self._rebuild(context) if context["params"].get("rebuild") else self._reproduce(context)

    def _reproduce(self, context: Context) -> dict[str, Any]:
        from include.errors import NotReproduced
        from include.registry.ledger import Ledger
        from include.registry.naming.lookup import find_version
        from include.reproduction.page import save
        from include.reproduction.reproduce import reproduce

        config, store = self.config, self.open_store()
        version = find_version(Ledger(store, config.name).timeline(), context["params"].get("version"))
        report = reproduce(
            store,
            config,
            self.folder,
            version,
            at=now(context),
            connections=AirflowConnections(),
            threads=self.threads,
        )
        digest, page = save(store, report)
        self.page = f"{config.name}/reproductions/{page}"
        self._report_lineage(store, version, stored(store, config.name, "reproductions", version=digest))
        if not report.reproduced:
            raise NotReproduced(
                report.sentence,
                where=f"{version}; report {digest[:12]}, linked from this task",
                remedy="check the differences; the record of the training and of the decision does not change",
            )
        return {
            "config": self.identity,
            "version": version,
            "outcome": report.outcome.value,
            "differences": len(report.differences),
            "report": digest,
        }

    def _report_lineage(self, store: ObjectStore, version: str, *made: LineageDataset) -> None:
        """Tell OpenLineage that a version was trained again from its record, and what was made of that."""
        from include.data.snapshots import Snapshot
        from include.registry.versions import load_version

        name = self.config.name
        record = load_version(store, name, version)
        rows = rows_of(store, Snapshot.load(store, name, record.snapshot))
        self.lineage = Lineage((*rows, stored(store, name, "fits", version=record.fit)), made)

    def _rebuild(self, context: Context) -> dict[str, Any]:
        from include.errors import NotReproduced
        from include.registry.naming.lookup import find_version
        from include.reproduction.rebuild import find_own_rebuild, rebuild

        ledger, params, actor = self.open_ledger(), context["params"], self.actor(context)
        own = find_own_rebuild(ledger.entries(), actor)  # of a try that was killed after it had written
        version = str(own.body["rebuild_of"]) if own else find_version(ledger.timeline(), params.get("version"))
        if own is None:
            done = rebuild(
                ledger,
                self.config,
                self.folder,
                version,
                actor=actor,
                at=now(context),
                tolerance=float(params["tolerance"]),
                threads=self.threads,
            )
            self.page = f"{self.config.name}/reproductions/{done.page}"
            if done.version is None:
                raise NotReproduced(
                    done.sentence,
                    where=f"{version}; report {done.digest[:12]}, linked from this task",
                    remedy="check the largest difference: choose a greater tolerance, or retrain the model",
                )
            own = find_own_rebuild(ledger.entries(), actor)
        rebuilt, proof = (None, None) if own is None else (str(own.body["version"]), own.body["proof"])
        made = stored(ledger.store, ledger.model, "versions", version=rebuilt)
        self._report_lineage(
            ledger.store, version, made, stored(ledger.store, ledger.model, "reproductions", version=proof)
        )
        self.announce(context, ledger)
        sentence = f"{rebuilt}, trained again with other libraries, replaces {version}: it predicts the same"
        self.news = News("promoted", sentence, rebuilt, version_page(self.config.declared_name, str(rebuilt)))
        return {"config": self.identity, "version": version, "rebuilt": rebuilt, "report": proof}
