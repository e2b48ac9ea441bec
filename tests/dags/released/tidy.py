"""Remove what nothing needs any more, by the model's `retention`.

**tidy** looks for model files, scores and lists of rows set aside that are old enough and that no kept version, decision, watch or
audit needs. What it finds it marks; a run after the grace period removes it, unless something needed it meanwhile. Without
`retention.remove`, or with the form's switch off, it only says what it would do. Events, decisions and evidence stay.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Tidy,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    tidy_form,
    tidy_schedule,
)

for model in declared_models("tidy", __file__, tidied=True):
    with DAG(
        dag_id=f"tidy_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: tidy",
        description=f"Remove what nothing needs any more: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=tidy_schedule(model),
        start_date=model.schedule.start,
        catchup=False,
        max_active_runs=1,
        params=tidy_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        Tidy(task_id="tidy")
        assign_resources(dag, model)
