"""Retrain a model, and promote the result only on evidence.

**ingest** brings in the rows that had happened by as-of, with labels due by then, **check** holds them against what their
team expects, **train** fits each candidate and the baselines side by side, **select** chooses the challenger by validation score,
**evaluate** measures it against the champion on identical rows that neither has seen, **gate** applies the model's policy,
**approve** asks a person where the policy says so, **promote** or **keep_champion** puts the decision on record, and
**settle** makes the order of backfills not matter. Where the model declares `segments`, **list_segments** finds the levels
with enough of the same rows, and **retrain_segment** does all of this for each of them.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Approve,
    Check,
    Evaluate,
    Gate,
    Ingest,
    KeepChampion,
    ListSegments,
    Promote,
    RetrainSegment,
    Select,
    Settle,
    Train,
    add_mirror,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    form,
    retrain_schedule,
)

for model in declared_models("retrain", __file__):
    with DAG(
        dag_id=f"retrain_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: retrain",
        description=model.description,
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=retrain_schedule(model),
        start_date=model.schedule.start,
        end_date=model.schedule.end,
        catchup=False,
        is_paused_upon_creation=None if model.schedule.retrain else False,
        max_active_runs=1,
        params=form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model, repeats=True),
    ) as dag:
        ingest = Ingest(task_id="ingest")
        check = Check(task_id="check", handed=ingest.output)
        train = Train.partial(task_id="train", map_index_template="{{ task.candidate }}", handed=check.output).expand(
            candidate=[*model.candidate_names, "baselines"]
        )
        select = Select(task_id="select", handed=check.output, fitted=train.output, trigger_rule="none_failed")
        evaluate = Evaluate(task_id="evaluate", handed=select.output)
        gate = Gate(task_id="gate", handed=evaluate.output, promote="promote", approve="approve", keep="keep_champion")
        approve = Approve(task_id="approve", handed=gate.output, approved="promote", kept="keep_champion")
        decided = {"handed": gate.output, "answered": approve.output, "trigger_rule": "none_failed_min_one_success"}
        promote = Promote(task_id="promote", **decided)
        keep_champion = KeepChampion(task_id="keep_champion", **decided)
        settle = Settle(task_id="settle", handed=gate.output, trigger_rule="none_failed")
        [promote, keep_champion] >> settle
        if model.segments:
            segments = ListSegments(task_id="list_segments", handed=check.output)
            RetrainSegment.partial(
                task_id="retrain_segment", map_index_template="{{ task.segment }}", handed=select.output
            ).expand(segment=segments.output)
        add_mirror(dag)
        assign_resources(dag, model)
