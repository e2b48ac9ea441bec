"""Take a version out of force, for good; the champion before it is in force at once.

**withdraw** puts the withdrawal on record with your name and reason, and says what is in force then. **announce** wakes
whoever schedules on the champion, if it changed. Nothing is measured or decided again here: what was decided against the
withdrawn version is settled by the next retraining.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    AnnounceChampion,
    Withdraw,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    rollback_form,
)

for model in declared_models("rollback", __file__):
    with DAG(
        dag_id=f"rollback_{model.name}",
        dag_display_name=f"{model.name}: roll back",
        description=f"Withdraw a version: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        allowed_run_types=["manual"],  # a person's decision, never another DAG's
        params=rollback_form(model),
        tags=["ratchet", model.name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        withdraw = Withdraw(task_id="withdraw")
        announce = AnnounceChampion(task_id="announce", handed=withdraw.output)
        assign_resources(dag, model)
