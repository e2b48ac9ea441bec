"""Commands that are ended with the test that started them."""

from commands import start  # noqa: F401 (a fixture)
