"""Which tests one process of a parallel run gets together, and which of those units are begun first."""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

SHARED = {
    "an Airflow with pages": (
        "tests/browser/test_access.py",
        "tests/browser/test_hostile_text.py",
        "tests/browser/test_models_page.py",
        "tests/browser/test_watch_page.py",
    ),
    "an Airflow whose tasks die": ("tests/system/test_told.py", "tests/system/test_faults.py"),
    "a process with Airflow, and MLflow's server": (
        "tests/dags/",
        "tests/include/mirror/",
        "tests/plugins/test_access_matrix.py",
        "tests/plugins/test_many_models.py",
        "tests/plugins/test_resources.py",
        "tests/deployment/test_documents.py",
    ),
    "a Dask cluster": ("tests/include/training/out_of_core/",),
}
"""What a process sets up once for several files, and how the paths of those begin; any other file is a unit."""
ALONE = ("tests/system/test_commands.py", "tests/system/test_ended_demo.py")
"""Files whose every test starts what it needs, and is a unit."""
LONGEST = (
    "a process with Airflow, and MLflow's server",
    "tests/include/training/test_determinism.py",
    "a Dask cluster",
    "tests/chain/test_killed.py",
    "tests/chain/test_order.py",
    "tests/include/serving/test_server.py",
    "tests/include/reproduction/test_reproduce.py",
    "tests/include/models/test_shipped.py",
    "tests/include/test_hostile_inputs.py",
    "tests/benchmarks/test_faults.py",
    "tests/system/test_compose.py",
    "an Airflow with pages",
    "an Airflow whose tasks die",
    "tests/system/test_outages.py",
    "tests/browser/test_click_through.py",
    "tests/system/test_order.py",
    "tests/system/test_watching.py",
    "tests/system/test_interrupted_demo.py",
)
"""Units that come first, in order that none of them is left over at the end; the others follow as they are collected."""


class ByUnit(LoadScopeScheduling):
    """``--dist loadfile`` with units that are what is set up once: a file, several, or a test."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if first := next((unit for unit in LONGEST if unit in self.workqueue), None):
            self.workqueue.move_to_end(first, last=False)
        super()._assign_work_unit(node)


def unit_of(nodeid: str) -> str:
    """Return the unit of a test."""
    file = nodeid.partition("::")[0]
    if file in ALONE:
        return nodeid
    return next((unit for unit, files in SHARED.items() if file.startswith(files)), file)
