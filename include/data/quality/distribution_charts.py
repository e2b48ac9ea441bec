"""Charts of distributions as coordinates: shares of rows in bins or levels, and quantiles over time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH, HEIGHT = 300.0, 90.0


def charts(distributions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what is drawn of each column.

    Parameters
    ----------
    distributions : list of dict
        As `include.data.quality.distributions` keeps them.
    """
    return [_histogram(one) if "edges" in one else _levels(one) for one in distributions]


def _histogram(one: Mapping[str, Any]) -> dict[str, Any]:
    edges = one["edges"]
    names = [f"below {edges[0]:.4g}"]
    names += [f"{low:.4g} to {high:.4g}" for low, high in itertools.pairwise(edges)]
    names.append(f"above {edges[-1]:.4g}")
    facts = {"ends": (f"{edges[0]:.4g}", f"{edges[-1]:.4g}"), "over_time": _over_time(one["periods"])}
    return {"column": one["column"], "bars": _bars(names, one["train"], one["holdout"]), **facts}


def _levels(one: Mapping[str, Any]) -> dict[str, Any]:
    others = one["others"]
    more = [{"level": f"{others['levels']:,} others", **others}] if others["levels"] else []
    shown = [*one["levels"], *more]
    bars = _bars(
        [str(level["level"]) for level in shown], *([level[w] for level in shown] for w in ("train", "holdout"))
    )
    return {"column": one["column"], "bars": bars, "ends": None, "over_time": None}


def _bars(names: Sequence[str], train: Sequence[float], holdout: Sequence[float]) -> list[dict[str, Any]]:
    shares = [[count / (sum(counts) or 1) for count in counts] for counts in (train, holdout)]
    top = max((share for both in shares for share in both), default=0) or 1
    step = WIDTH / max(len(names), 1)
    return [
        {
            "name": name,
            "x": round(place * step, 2),
            "width": round(step * 0.42, 2),
            "train": _bar(one, top) | {"x": round(place * step, 2), "share": one},
            "holdout": _bar(other, top) | {"x": round(place * step + step * 0.46, 2), "share": other},
        }
        for place, (name, one, other) in enumerate(zip(names, *shares, strict=True))
    ]


def _bar(share: float, top: float) -> dict[str, float]:
    height = round(share / top * HEIGHT, 2)
    return {"y": round(HEIGHT - height, 2), "height": height}


def _over_time(periods: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the band from the 5 % to the 95 % quantile and the line of medians; None of fewer than two partitions."""
    if len(periods) < 2:
        return None
    low, high = min(one["low"] for one in periods), max(one["high"] for one in periods)
    span, step = (high - low) or 1.0, WIDTH / (len(periods) - 1)

    def points(key: str) -> list[str]:
        return [f"{n * step:.2f},{HEIGHT - (one[key] - low) / span * HEIGHT:.2f}" for n, one in enumerate(periods)]

    return {
        "band": " ".join([*points("high"), *reversed(points("low"))]),
        "line": " ".join(points("middle")),
        "low": f"{low:.4g}",
        "high": f"{high:.4g}",
        "first": periods[0]["slot"],
        "last": periods[-1]["slot"],
    }
