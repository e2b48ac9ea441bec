"""Decide again on a held version, by rows that have matured since; nothing is trained.

**reconsider** brings in and checks every row that neither the held version nor the champion was fitted on and that has its
label by now, and measures both on them. **approve** asks a person where the policy says so, and **decide** puts the decision
on record: promoted, the version is in force from this as-of on.
**settle** decides again what a backfill had decided against another champion. An asset event of the champion is emitted when
it changed.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Approve,
    DecideAgain,
    Reconsider,
    Settle,
    add_mirror,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    reconsider_form,
)

for model in declared_models("reconsider", __file__, timed=True):
    with DAG(
        dag_id=f"reconsider_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: reconsider",
        description=f"Decide again on a held version: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        params=reconsider_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        reconsider = Reconsider(task_id="reconsider", decide="decide", approve="approve")
        approve = Approve(task_id="approve", handed=reconsider.output, approved="decide", kept="decide")
        decide = DecideAgain(
            task_id="decide",
            handed=reconsider.output,
            answered=approve.output,
            trigger_rule="none_failed_min_one_success",
        )
        Settle(task_id="settle", handed=decide.output, trigger_rule="none_failed")
        add_mirror(dag)
        assign_resources(dag, model)
