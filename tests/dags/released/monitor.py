"""Watch a champion: what its rows were like, how it did once labels came, and whether anything has to follow.

**monitor** looks at the rows that were predicted between the tick before the run's date and that date: it compares them with
those that the champion was trained on, measures it on every interval whose labels have matured, beside its predecessor
while it is on probation, and appends all that to the model's watch log. From that log follow alarms, requests for a
retraining, and the verdict of the probation. **reconsider** starts the DAG of that name for a held version whose rows have
matured. A backfill fills in history: it tells nobody and asks for nothing.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Monitor,
    ReconsiderMatured,
    add_mirror,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    monitor_form,
    monitor_schedule,
)

for model in declared_models("monitor", __file__, monitored=True):
    with DAG(
        dag_id=f"monitor_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: monitor",
        description=f"Watch the champion: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=monitor_schedule(model),
        start_date=model.schedule.start,
        end_date=model.schedule.end,
        catchup=False,
        params=monitor_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model, repeats=True),
    ) as dag:
        monitor = Monitor(task_id="monitor")
        ReconsiderMatured(task_id="reconsider", handed=monitor.output)
        add_mirror(dag)
        assign_resources(dag, model)
