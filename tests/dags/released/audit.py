"""Read again everything that a model's ledger names, and hold it against its name, its signature and its evidence.

**audit** goes on where the last run ended, until it has cost as many calls of the store as `schedule.audit` allows: the chain and
its signatures, kept answers, and event by event each version with its rows, code and model files, each decision with its
evidence, and the golden rows of each version that was promoted. It fails while anything is not as it should be; what that is stands on the
model's page.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Audit,
    assign_resources,
    audit_form,
    audit_schedule,
    dag_arguments,
    declared_models,
    defaults,
)

for model in declared_models("audit", __file__, audited=True):
    with DAG(
        dag_id=f"audit_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: audit",
        description=f"Verify what is on record: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=audit_schedule(model),
        start_date=model.schedule.start,
        catchup=False,
        max_active_runs=1,
        params=audit_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        Audit(task_id="audit")
        assign_resources(dag, model)
