"""Imported by the parent of a Celery worker's processes, before it forks them (`[celery] extra_celery_config`: `imports`)."""

from __future__ import annotations

from ratchet_operators.warm import warm

warm()
