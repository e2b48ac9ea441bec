"""Train a version again from its record alone, and say whether it is the same model.

**reproduce** takes the declaration, the rows, the code and the seed that are on record, makes the fit again where the old
one can't be found, and compares: the model file byte for byte, or else the predictions on the holdout. It names what is not
as it was: rows that the source gives otherwise now, settings, library versions, code. It fails if the model is another one.

With *rebuild*, after an upgrade of libraries, the version that was trained again takes the place of the old one in the ledger, with
the same as-of and decision, once both are shown to predict the same. Nothing changes if they do not.
"""

from airflow.sdk import DAG

from ratchet_operators import (
    Reproduce,
    add_mirror,
    assign_resources,
    dag_arguments,
    declared_models,
    defaults,
    reproduce_form,
)

for model in declared_models("reproduce", __file__):
    with DAG(
        dag_id=f"reproduce_{model.declared_name}",
        dag_display_name=f"{model.declared_name}: reproduce",
        description=f"Train a version again: {model.description}",
        doc_md=f"## {model.description}\n\nOwner: {model.owner}\n\n{__doc__}",
        schedule=None,
        is_paused_upon_creation=False,
        params=reproduce_form(model),
        tags=["ratchet", model.declared_name],
        default_args=defaults(model),
        **dag_arguments(model),
    ) as dag:
        Reproduce(task_id="reproduce")
        add_mirror(dag)
        assign_resources(dag, model)
