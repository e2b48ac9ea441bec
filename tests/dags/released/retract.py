"""Take back a reading of a partition that turned out to be wrong; the reading before it is in force, or none.

**retract** puts it on record with your name and reason, and names the versions that were trained or judged on those rows. Nothing
is removed: they stay reproducible, and what was known at an earlier as-of stays what it was. The same rows, read again, stay taken
back; the source is asked in every run until it gives other rows. *Restore* takes a mistake back.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Retract,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    retract_form,
)

for model in declared_models("retract", __file__):
    with DAG(
        dag_id=f"retract_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: retract",
        description=f"Take back a reading of a partition: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        max_active_runs=1,
        allowed_run_types=["manual"],  # a person's decision, never another DAG's
        params=retract_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        Retract(task_id="retract")
        assign_resources(dag, model)
