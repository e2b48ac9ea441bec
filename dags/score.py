"""Predict the rows of each interval with the champion that was in force before any of them happened.

**ingest** brings in the rows between the tick before the run's date and that date, with or without labels, and **score**
predicts them, flags those that are unlike anything the champion was fitted on, and publishes the scores all at once. Scored
again, they are the same bytes; scored by another champion, after a rollback or a late backfill, they stand beside the old
ones and are in force. A table without event time is scored as a whole, by the champion as of the run's date.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    IngestInterval,
    Score,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    score_form,
    score_schedule,
)

for model in declared_models("score", __file__):
    with DAG(
        dag_id=f"score_{model.name}",
        dag_display_name=f"{model.name}: score",
        description=f"Batch predictions: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=score_schedule(model),
        start_date=model.schedule.start,
        end_date=model.schedule.end,
        catchup=False,
        is_paused_upon_creation=None if model.schedule.score else False,
        params=score_form(model),
        tags=["ratchet", model.name],
        default_args=defaults(model),
        **dag_arguments(model, repeats=True),
    ) as dag:
        ingest = IngestInterval(task_id="ingest")
        score = Score(task_id="score", handed=ingest.output)
        assign_resources(dag, model)
