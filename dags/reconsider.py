"""Decide again on a held version, by rows that have matured since; nothing is trained.

**reconsider** brings in and checks every row that neither the held version nor the champion was fitted on and that has its
label by now, measures both on them, and puts the decision on record: promoted, the version is in force from this as-of on.
**announce** wakes whoever schedules on the champion, if it changed, and **settle** decides again what a backfill had decided
against another champion.
"""

from datetime import timedelta

from airflow.sdk import DAG

from ratchet_operators import AnnounceChampion, Reconsider, Settle, assign_resources, declared_models, reconsider_form

for model in declared_models("reconsider"):
    with DAG(
        dag_id=f"reconsider_{model.name}",
        description=f"Decide again on a held version: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        params=reconsider_form(model),
        tags=["ratchet", model.name],
        default_args={
            "owner": model.owner,
            "model": model.to_json(),
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
            "retry_exponential_backoff": True,
        },
    ) as dag:
        reconsider = Reconsider(task_id="reconsider")
        announce = AnnounceChampion(task_id="announce", handed=reconsider.output)
        settle = Settle(task_id="settle", handed=reconsider.output, trigger_rule="none_failed")
        announce >> settle
        assign_resources(dag, model)
