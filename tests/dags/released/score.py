"""Predict the rows of each interval with the champion that was in force before any of them happened.

**ingest** brings in the rows between the tick before the run's date and that date, with or without labels, and **score**
predicts them, flags those that are unlike anything the champion was fitted on, and publishes the scores all at once. Scored
again, they are the same bytes; scored by another champion, after a rollback or a late backfill, they stand beside the old
ones and are in force. A table without event time is scored as a whole, by the champion as of the run's date.
**deliver** brings them to each place that the model declares: a table or files, where a correction changes only what it changed.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Deliver,
    IngestInterval,
    Score,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    delivered_asset,
    score_form,
    score_schedule,
)

for model in declared_models("score", __file__):
    with DAG(
        dag_id=f"score_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: score",
        description=f"Batch predictions: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=score_schedule(model),
        start_date=model.schedule.start,
        end_date=model.schedule.end,
        catchup=False,
        is_paused_upon_creation=None if model.schedule.score else False,
        params=score_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model, repeats=True),
    ) as dag:
        ingest = IngestInterval(task_id="ingest")
        score = Score(task_id="score", handed=ingest.output)
        if model.score.deliver:
            Deliver.partial(
                task_id="deliver",
                outlets=[delivered_asset(model.declared_name)],
                map_index_template="{{ task.place.get('table') or task.place.path }}",
                handed=score.output,
            ).expand(place=[one.model_dump(mode="json") for one in model.score.deliver])
        assign_resources(dag, model)
