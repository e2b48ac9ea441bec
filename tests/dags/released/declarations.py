"""Say what is wrong in any model.yaml, as an import error of this file alone.

It declares no DAG of its own: Airflow takes all DAGs of a file that has an import error out of service, and one broken
model must not hide the others.
"""

from ratchet_operators import refuse_broken_models

refuse_broken_models(__file__)
