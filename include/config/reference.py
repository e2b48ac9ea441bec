"""The reference page of model.yaml and its JSON Schema, generated from the Pydantic models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from include.config.model import ModelConfig
from include.config.names import ENSEMBLES, ESTIMATORS, METRICS
from include.config.sections.training import Range
from include.config.yaml_text import read_yaml

_HEAD = """# model.yaml

Everything that `include/models/<name>/model.yaml` may say. This page is drawn from the code that validates it
(`make docs`), so it is never behind it. Lengths of time are a number and a unit: `y`, `mo`, `w`, `d`, `h`, `min` or `s`, such as `4mo`.
A mistake is answered in Airflow's UI, as an import error of the DAG file, with file, line, field, what was expected, what was
found and the nearest valid spelling; other models go on.

YAML is read as YAML 1.2: `NO` is a text, `010` is a text, `1e-3` is a number, and a key that stands twice is a mistake.
"""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of model.yaml, for editors."""
    schema: dict[str, Any] = ModelConfig.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def examples() -> dict[str, str]:
    """Return an example for each section, by the name of its class: entries of YAML, of which one key may stand twice."""
    path = Path(__file__).with_name("examples.yaml")
    found: dict[str, str] = read_yaml(path.read_text(), path.name)[0]
    return found


def markdown(spaces: Mapping[str, Mapping[str, Range | tuple[Any, ...]]]) -> str:
    """Return the reference page.

    Parameters
    ----------
    spaces : mapping
        Where a search looks if nothing is declared, by estimator and setting.
    """
    schema = json_schema()
    definitions = schema["$defs"]
    shown = examples()
    parts = [_HEAD, *_section("The whole file", schema, definitions, shown["ModelConfig"])]
    for name in _in_reading_order(schema, definitions):
        if "properties" in definitions[name]:
            parts += _section(name, definitions[name], definitions, shown[name])
    return "\n".join([*parts, *_names(spaces)])


def _in_reading_order(node: Any, definitions: dict[str, Any], seen: dict[str, None] | None = None) -> list[str]:
    seen = {} if seen is None else seen
    for name in _references(node):
        if name not in seen:
            seen[name] = None
            _in_reading_order(definitions[name], definitions, seen)
    return list(seen)


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for key, value in node.items():
            if key not in ("$defs", "discriminator"):
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _section(name: str, schema: dict[str, Any], definitions: dict[str, Any], example: str) -> list[str]:
    lines = [f"## {name}", "", *_prose(schema), "| field | value | default | meaning |", "|---|---|---|---|"]
    required = schema.get("required", [])
    for field, facts in schema["properties"].items():
        default = "required" if field in required else _default(facts.get("default"))
        lines.append(f"| `{field}` | {_type(facts, definitions)} | {default} | {_cell(facts.get('description', ''))} |")
    return [*lines, "", "```yaml", example.rstrip(), "```", ""]


def _prose(schema: dict[str, Any]) -> list[str]:
    text = schema.get("description")
    return [text, ""] if text else []


def _default(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        return f"`{value['text']}`" if value.keys() == {"text"} else "see there"
    return f"`{value}`" if value not in ([], "", ()) else "empty"


def _type(facts: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in facts:
        name = facts["$ref"].rpartition("/")[2]
        target = definitions[name]
        if "enum" in target:
            return _choices(target["enum"])
        return f"[{name}](#{name.lower()})"
    if arms := facts.get("anyOf") or facts.get("oneOf"):
        return " or ".join(_type(arm, definitions) for arm in arms if arm.get("type") != "null")
    if "enum" in facts:
        return _choices(facts["enum"])
    if "const" in facts:
        return f"`{facts['const']}`"
    if facts.get("type") == "array":
        items = facts.get("items", {})
        return f"list of {_type(items, definitions)}" if items else "list"
    if facts.get("type") == "object":
        values = facts.get("additionalProperties")
        return f"names to {_type(values, definitions)}" if isinstance(values, dict) and values else "names to values"
    if facts.get("examples") and facts.get("pattern"):
        return "length of time"
    limits = [
        f"{sign} {facts[key]:g}"
        for key, sign in (("minimum", ">="), ("exclusiveMinimum", ">"), ("maximum", "<="), ("exclusiveMaximum", "<"))
        if key in facts
    ]
    kind = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    return " ".join([kind.get(facts.get("type", ""), "any value"), *limits])


def _choices(values: list[Any]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _names(spaces: Mapping[str, Mapping[str, Range | tuple[Any, ...]]]) -> Iterator[str]:
    yield "## Estimators\n"
    yield "A `search` without a `space` uses the space in the last column, with the most important setting first.\n"
    yield "| name | tasks | early stopping | row weights | default search space |\n|---|---|---|---|---|"
    for name, facts in ESTIMATORS.items():
        space = "; ".join(f"`{setting}` {_values(values)}" for setting, values in spaces.get(name, {}).items())
        stops, weighs = ("yes" if able else "no" for able in (facts.early_stopping, facts.weights))
        yield f"| `{name}` | {', '.join(facts.tasks)} | {stops} | {weighs} | {space or 'nothing to search'} |"
    joined = " and ".join(f"`{name}`" for name in ENSEMBLES)
    yield f"\n{joined} join other candidates of classification or regression: `members`, or the `best` of them.\n"
    yield "## Metrics\n\n| name | task | better is |\n|---|---|---|"
    for name, metric in METRICS.items():
        yield f"| `{name}` | {metric.task} | {'greater' if metric.greater_is_better else 'smaller'} |"
    yield ""


def _values(values: Range | tuple[Any, ...]) -> str:
    if not isinstance(values, Range):
        return ", ".join(str(list(value) if isinstance(value, tuple) else value) for value in values)
    kind = [word for word, said in (("whole", values.integer), ("log", values.log)) if said]
    return f"{values.low:g} to {values.high:g}" + (f" ({', '.join(kind)})" if kind else "")
