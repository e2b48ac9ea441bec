"""Mirror: copies of the ledger's records in another system, such as MLflow.

A mirror follows the ledger and never leads: it decides nothing, and nothing waits for it. Here is the one in MLflow. Not here:
facts about versions (`include.registry`).
"""

PUBLIC: tuple[str, ...] = ("mlflow_mirror",)
"""The modules that other rooms may import."""
