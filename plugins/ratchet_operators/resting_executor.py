"""A LocalExecutor that lets an idle scheduler rest.

The scheduler's loop sleeps as long after a loop that found nothing to do as between two tasks of a run
(`[scheduler] scheduler_idle_sleep_time`). A quarter of a second is what a run needs, and more than what is worth paying all night: each loop
asks the database some twenty questions. The executor takes part in each loop and knows whether any task is at work.
"""

from __future__ import annotations

import time

from airflow.executors.local_executor import LocalExecutor as AirflowLocalExecutor

AWAKE = 10.0
"""Seconds after the last task of this executor for which the scheduler goes on looking as often: the next one follows within them."""
REST = 1.75
"""Seconds that are added to each loop after that, for a loop in two seconds: a run that is asked for then begins within them."""


class LocalExecutor(AirflowLocalExecutor):
    """Run tasks as Airflow's does, and slow the scheduler down while there are none.

    It has the name of Airflow's: by that name the auth manager of a local Airflow tells a machine of one's own from a deployment.
    """

    _busy = float("-inf")

    def sync(self) -> None:
        """Take note of tasks that ended, and rest if there have been none for a while; called once in each loop of the scheduler."""
        super().sync()
        now = time.monotonic()
        if self.running or self.queued_tasks or self.queued_callbacks:
            self._busy = now
        elif now - self._busy > AWAKE:
            time.sleep(REST)
