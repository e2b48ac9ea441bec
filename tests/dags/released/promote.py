"""Send a champion to another stage, where that stage's own gate decides on it; nothing is trained.

**send** copies the version as it is to the stage's store, holds everything against its digest here and there, and registers it in that
stage's ledger with where it came from. Where `RATCHET_STAGE_MODELS` names the stage's folder of models, its gate decides in the same run:
**reconsider** brings in and checks the rows that its declaration reads, and measures the version against *its* champion, **approve** asks
a person where *its* policy says so, **decide** puts the decision on *its* record, and **settle** keeps the order of backfills there.
Elsewhere the version waits for `reconsider` in the stage's own Airflow.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Approve,
    DecideAgain,
    Reconsider,
    Send,
    Settle,
    assign_resources,
    dag_arguments,
    declared_promotions,
    defaults,
    promote_form,
)

for stage, model, judged in declared_promotions(__file__):
    with DAG(
        dag_id=f"promote_to_{stage}_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: promote to {stage}",
        description=f"Send a champion to {stage}: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        allowed_run_types=["manual"],  # a person's decision, never another DAG's
        params=promote_form(judged or model, judged=judged is not None),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        send = Send(task_id="send", to=stage, decide="reconsider" if judged else None)
        if judged:
            there = {**defaults(judged), "stage": stage}
            reconsider = Reconsider(task_id="reconsider", sent=send.output, decide="decide", approve="approve", **there)
            approve = Approve(task_id="approve", handed=reconsider.output, approved="decide", kept="decide", **there)
            decide = DecideAgain(
                task_id="decide",
                handed=reconsider.output,
                answered=approve.output,
                trigger_rule="none_failed_min_one_success",
                **there,
            )
            Settle(task_id="settle", handed=decide.output, trigger_rule="none_failed", **there)
        assign_resources(dag, model)
