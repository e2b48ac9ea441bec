"""Import what tasks need once, in the process that they are forked from.

Imports are most of what a small task costs: pandas, scikit-learn and Great Expectations take seconds, in each of a run's
tasks anew. LocalExecutor forks its workers from the scheduler, and Celery from the worker's parent, which has no job that
would call the listener and imports `warm_worker` instead; what is imported there before the fork, every task has for free.
`RATCHET_WARM=0` turns it off.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import time
import warnings

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

_MODULES = (
    # What a task reads its DAG file with.
    "airflow.dag_processing.dagbag",
    # What opens a store in S3; it brings boto3.
    "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.sdk.execution_time.task_runner",
    "include.data.ingestion.ingest",
    "include.data.quality.check",
    "include.data.quality.library",
    "include.monitoring.monitor",
    "include.registry.history.card_files",
    "include.registry.evaluator",
    "include.registry.challenger_selection",
    "include.scoring.golden",
    "include.training.fit_candidate",
    "pyarrow.dataset",
    "pyarrow.pandas_compat",
    "ratchet_operators",
    # Last: it asks every module that is loaded by then for its names, which takes seconds and is done once.
    "skops.io",
)
_TEMPLATES = ("include.data.quality.page", "include.evaluation.report.card")
"""Modules whose ``template`` is compiled ahead: that takes longer than to draw the page."""


@hookimpl
def on_starting(component: object) -> None:
    """Warm the process if tasks will be forked from it; Airflow calls this in every process that has a job."""
    if sys.argv[1:2] == ["scheduler"]:
        warm()


def warm() -> None:
    """Import the modules, unless that is turned off; one that can't be imported is left to the task that needs it, which says why."""
    if os.environ.get("RATCHET_WARM", "1") == "0":
        return
    missing = [module for module in _MODULES if module not in sys.modules]
    if not missing:
        return  # a task, forked from a warm parent
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in missing:
            try:
                importlib.import_module(module)
            except ImportError as error:
                log.warning("%s is not imported ahead: %s", module, error)
        for module in _TEMPLATES:
            if module in sys.modules:
                sys.modules[module].template()
    log.info("Modules that tasks need are imported (%.1f s)", time.perf_counter() - started)
