"""Scores as Parquet files in a bucket or folder, with a manifest for each delivery.

``<model>/<interval>/<digest>.parquet`` holds scores, ``<model>/manifests/<interval>/<number>-<version>.json`` says that they are
those of an interval. Of several manifests of an interval the one with the greatest number is in force; a file is written before
its manifest and neither is ever changed; a file goes when rows were erased out of its scores. So a killed delivery leaves nothing that a reader would take, and an older publication
that comes late is not taken either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from include.data.windows import Window
from include.scoring.publication import Manifest, name_of, window_of
from include.storage.content import canonical_json
from include.storage.store import ObjectStore

_DIGITS = 8


class DeliveredFiles:
    """The scores of one model in a bucket or folder."""

    def __init__(self, place: ObjectStore, model: str) -> None:
        self._place, self._model = place, model
        self._manifests = f"{model}/manifests/"

    def deliver(self, manifest: Manifest, number: int, body: bytes) -> int:
        """Put the Parquet file of a publication and its manifest there.

        Parameters
        ----------
        number : int
            The publication's place among those of its interval, counted from one.
        body : bytes
            The file, as it is in the store.

        Returns
        -------
        int
            How many rows were written; 0 if they were there.
        """
        interval = name_of(manifest.interval)
        key = f"{self._manifests}{interval}/{number:0{_DIGITS}d}-{manifest.version}.json"
        if self._place.exists(key):
            return 0
        file = f"{self._model}/{interval}/{manifest.scores}.parquet"
        self._place.put_if_absent(file, body)
        self._place.put_if_absent(key, canonical_json({"file": file, "number": number, **manifest.to_json()}))
        return manifest.rows

    def remove(self, interval: Window, erased: Collection[str], delete: Callable[[str], bool]) -> None:
        """Remove the files of an interval that contain erased rows; their manifests stay, since they contain no rows.

        Parameters
        ----------
        interval : Window
        erased : collection of str
            Digests of such scores.
        delete : callable
            Removes one object of the place.
        """
        folder = f"{self._model}/{name_of(interval)}/"
        for key in self._place.list(folder) if erased else ():
            if key.removeprefix(folder).removesuffix(".parquet") in erased:
                delete(key)

    def versions(self) -> list[tuple[Window, str]]:
        """Return which publication is in force for each interval, ascending, from a listing alone."""
        newest = {}
        for key in self._place.list(self._manifests):
            interval, _, name = key.removeprefix(self._manifests).partition("/")
            newest[interval] = name[_DIGITS + 1 :].removesuffix(".json")
        return [(window_of(interval), version) for interval, version in sorted(newest.items())]
