"""Commands that are ended with the test that started them, and an Airflow whose tasks die."""

from commands import start  # noqa: F401 (a fixture)
from dying_site import dying  # noqa: F401 (a fixture)
