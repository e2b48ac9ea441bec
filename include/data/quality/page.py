"""The data quality page: expectations met and failed, quarantined rows, and coverage of the snapshot."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Template

from include.config.model import ModelConfig
from include.data.quality.check_report import describe_rectified
from include.data.quality.distribution_charts import HEIGHT, WIDTH, charts
from include.data.quality.distributions import FEWEST_ROWS
from include.data.random_split import describe_window
from include.data.windows import Window
from include.errors import ObjectMissing
from include.storage.answers import find_answer, keep_answer
from include.storage.content import digest_json, get_json
from include.storage.store import ObjectStore
from include.templates import templates_beside

_MOST_BARS = 92
_WIDTH, _HEIGHT = 920.0, 170.0
_ORDER = ("error", "failed", "set_aside", "passed")


def render(report: Mapping[str, Any], digest: str) -> str:
    """Return the page of a report as one self-contained HTML text.

    Parameters
    ----------
    report : dict
        What `include.data.quality.check.check` stores.
    digest : str
        The report's digest, for the page to name it.
    """
    checks = sorted(
        report["checks"],
        key=lambda check: (_ORDER.index(check["status"]), check["severity"] != "critical", check["entry"]),
    )
    missing = sorted(report["missing"], key=lambda column: (-column["missing"], column["column"]))
    return template().render(
        report=report,
        digest=digest,
        checks=checks,
        held=sum(check["status"] == "passed" for check in checks),
        missing=[column for column in missing if column["missing"]],
        complete=[column["column"] for column in missing if not column["missing"]],
        chart=chart(report["coverage"]),
        drawn=charts(report.get("distributions", ())),
        drawn_width=WIDTH,
        drawn_height=HEIGHT,
        fewest=FEWEST_ROWS,
        put_right=[describe_rectified(one) for one in report.get("rectified", ())],
    )


@functools.cache
def template() -> Template:
    """Return the page's template, compiled."""
    environment = templates_beside(__file__)
    environment.globals["between"] = _between
    environment.filters.update(count=_count, ordered=_ordered, share=_share, value=_value)
    return environment.get_template("quality.html")


def _between(window: Mapping[str, str]) -> str:
    bounds = Window.from_json(dict(window))
    return describe_window(bounds.after, bounds.until) or f"after {window['after']}, until {window['until']}"


def chart(coverage: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the bars of rows per slot in the chart's units; slots are added up in groups when there are too many.

    Parameters
    ----------
    coverage : list of dict
        ``slot``, ``train``, ``holdout``, ``set_aside`` (rows), in order of time.
    """
    size = -(-len(coverage) // _MOST_BARS) or 1
    groups = [coverage[start : start + size] for start in range(0, len(coverage), size)]
    totals = [
        {part: sum(slot[part] for slot in group) for part in ("train", "holdout", "set_aside")} for group in groups
    ]
    top = max((total["train"] + total["holdout"] for total in totals), default=0) or 1
    step = _WIDTH / max(len(groups), 1)
    width = min(step * 0.8, 72.0)
    every = -(-len(groups) // 10) or 1
    bars = []
    for number, (group, total) in enumerate(zip(groups, totals, strict=True)):
        first, last = group[0]["slot"], group[-1]["slot"]
        train, holdout, aside = (total[part] * _HEIGHT / top for part in ("train", "holdout", "set_aside"))
        bars.append(
            {
                "name": first if first == last else f"{first} to {last}",
                "label": first if number % every == 0 else "",
                "x": round(number * step + (step - width) / 2, 2),
                "middle": round((number + 0.5) * step, 2),
                "rows": total["train"] + total["holdout"],
                "train": {"y": round(_HEIGHT - train, 2), "height": round(train, 2), "rows": total["train"]},
                "holdout": {
                    "y": round(_HEIGHT - train - holdout, 2),
                    "height": round(holdout, 2),
                    "rows": total["holdout"],
                },
                "set_aside": {"height": round(max(aside, 2.0), 2) if aside else 0, "rows": total["set_aside"]},
            }
        )
    return {
        "bars": bars,
        "width": _WIDTH,
        "height": _HEIGHT,
        "bar": round(width, 2),
        "top": top,
        "show_rows": len(bars) <= 14,
        "grouped": size,
        "empty": [slot["slot"] for slot in coverage if not slot["train"] + slot["holdout"]],
    }


def _count(number: float | None) -> str:
    return "\u2013" if number is None else f"{number:,}"


def _share(part: float | None, whole: float | None) -> str:
    if part is None or not whole:
        return "\u2013"
    if 0 < part / whole < 0.0001:
        return "< 0.01%"
    return f"{100 * part / whole:.2f}".rstrip("0").rstrip(".") + "%"


def _ordered(arguments: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the arguments as a person would write them: columns first, the lower bound before the upper."""
    return sorted(
        arguments.items(), key=lambda pair: (not pair[0].startswith("column"), pair[0] != "min_value", pair[0])
    )


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(inner)}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(f"[{_value(inner)}]" if isinstance(inner, list | tuple) else _value(inner) for inner in value)
    return str(value)


def keep_page(store: ObjectStore, model: ModelConfig, snapshot: str, names: dict[str, str]) -> None:
    """Store the digests of report and page of the check that a snapshot passed.

    Parameters
    ----------
    snapshot : str
        Digest of the snapshot that was checked.
    names : dict of str to str
        Names of the report and of the page.
    """
    keep_answer(store, _place(model), _question(model, snapshot), names)


def report_digest(store: ObjectStore, model: ModelConfig, snapshot: str) -> str | None:
    """Return the digest of the report of the check that let a snapshot go on; None without one, or of release 0.1."""
    names = find_answer(store, _place(model), _question(model, snapshot))
    return None if names is None else str(names["report"])


def page_of(store: ObjectStore, model: ModelConfig, snapshot: str) -> str | None:
    """Return the digest of the page of the check that let a snapshot go on, or None if there was none."""
    question = _question(model, snapshot)
    if (names := find_answer(store, _place(model), question)) is not None:
        return str(names["page"])
    try:  # as release 0.1 kept it
        return str(get_json(store, f"{_place(model)}/{snapshot}-{question['quality'][:12]}.json")["page"])
    except ObjectMissing:
        return None


def _place(model: ModelConfig) -> str:
    return f"{model.name}/checks/passed"


def _question(model: ModelConfig, snapshot: str) -> dict[str, str]:
    return {"snapshot": snapshot, "quality": digest_json(model.quality.model_dump(mode="json"))}
