"""Connect to a Dask cluster, and run a search's trials there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from include.errors import ClusterUnavailable, ConfigError

log = logging.getLogger(__name__)

T = TypeVar("T")
_PATIENCE = 30  # seconds until a scheduler that does not answer is given up
_WHERE = "environment variable RATCHET_DASK"


class Cluster:
    """The workers of a Dask cluster.

    Parameters
    ----------
    client : distributed.Client
    size : int
        How many calls are at work at the same time.
    """

    def __init__(self, client: Any, size: int) -> None:
        self.client = client
        self.size = size

    def map(self, function: Callable[..., T], each: list[Any], *shared: Any) -> list[T]:
        """Return ``function(one, *shared)`` of each one, in their order; what is shared is sent to a worker once."""
        # Under keys of their own: under those of their content, what a search before this one is letting go would be taken for them.
        sent = [self.client.scatter(one, hash=False) for one in shared]
        futures = [self.client.submit(function, one, *sent, pure=False) for one in each]
        answers: list[T] = self.client.gather(futures)
        return answers


@contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to the scheduler of a Dask cluster whose workers have Ratchet on their path.

    Raises
    ------
    ConfigError
        When Dask is not installed here.
    ClusterUnavailable
        When the scheduler does not answer, or has no workers.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            "A Dask cluster can't be used.",
            expected="the package `distributed`, of the cluster's own version",
            found="it is not installed",
            where=_WHERE,
            remedy="install the extra `dask` (`pip install distributed`) where tasks run; of searches alone, unset RATCHET_DASK",
        ) from error
    connect: Any = distributed.Client
    try:
        client = connect(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ClusterUnavailable(
            "The Dask cluster can't be reached.",
            expected="the address of its scheduler, such as tcp://dask-scheduler:8786",
            found=f"{address}: {error}",
            where=_WHERE,
            remedy="start the cluster or correct the address; of searches alone, unset RATCHET_DASK to search in the task itself",
        ) from error
    with client:
        size = sum(client.nthreads().values())
        if not size:
            raise ClusterUnavailable(
                "The Dask cluster has no workers.", found=address, where=_WHERE, remedy="start some"
            )
        log.info("connected to a Dask cluster, %d calls at a time: %s", size, address)
        yield Cluster(client, size)
