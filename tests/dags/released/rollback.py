"""Take a version out of force, for good; the champion before it is in force at once.

**withdraw** puts the withdrawal on record with your name and reason, says what is in force then, and tells DAGs that are scheduled
on the champion. Without a version it means the champion of when you triggered it. Nothing is measured or decided again here:
what was decided against the withdrawn version is settled by the next retraining.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Withdraw,
    add_mirror,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    rollback_form,
)

for model in declared_models("rollback", __file__):
    with DAG(
        dag_id=f"rollback_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: roll back",
        description=f"Withdraw a version: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        max_active_runs=1,
        allowed_run_types=["manual"],  # a person's decision, never another DAG's
        params=rollback_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        Withdraw(task_id="withdraw")
        add_mirror(dag)
        assign_resources(dag, model)
