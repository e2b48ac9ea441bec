"""The server's OpenAPI document, generated from the row schemas of the served versions, and its page."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from include.config.sections.rows.sources import ColumnType
from include.scoring.scores import LOWER, UPPER
from include.serving.live.served import Served
from include.serving.live_versions import LiveModel
from include.serving.protocol.open_inference import example_request
from include.serving.protocol.row_schema import Row
from include.templates import templates_beside
from include.training.input_domain import InputDomain

_TYPES: dict[ColumnType, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"type": "number"},
    "boolean": {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}
_EXAMPLES: dict[ColumnType, Any] = {
    "string": "text",
    "integer": 1,
    "float": 1.0,
    "boolean": True,
    "timestamp": "2026-01-01T12:00:00Z",
    "date": "2026-01-01",
}
_ERRORS = {
    "400": "The body can't be read",
    "401": "The caller is not known",
    "404": "There is no such model for this caller",
    "408": "The body took too long",
    "413": "The body or its rows are too many",
    "415": "The body's type is not understood",
    "422": "The rows are not as the model asks; `problems` names row, field, expected, found and nearest",
    "503": "Too busy, or no version answers yet; `Retry-After` says when to ask again",
}


def example_row(served: Served) -> Row:
    """Return a row that the model takes, made up from ranges and levels and never copied from data."""
    row: Row = {}
    for column in served.schema.columns:
        if column.required:
            row[column.name] = _example(column.name, column.type, served.predictor.domain)
    return row


def _example(name: str, kind: ColumnType, domain: InputDomain) -> Any:
    if kind == "string" and name in domain.categorical and domain.categorical[name].levels:
        return domain.categorical[name].levels[0]
    known = domain.numeric.get(name)
    if known is not None and known.low is not None and known.high is not None and kind in ("integer", "float"):
        middle = (known.low + known.high) / 2
        return round(middle) if kind == "integer" else float(f"{middle:.4g}")
    return _EXAMPLES[kind]


def document(models: Iterable[LiveModel]) -> dict[str, Any]:
    """Return the OpenAPI document of some models."""
    schemas: dict[str, Any] = {"Error": _error_schema()}
    paths: dict[str, Any] = {
        "/v2/health/live": {"get": _get("Whether the process answers", secured=False)},
        "/v2/health/ready": {"get": _get("Whether every model was looked at, and one answers")},
        "/v2": {"get": _get("The server's name and what it can do")},
        "/models": {"get": _get("The models that the caller may ask")},
    }
    for model in models:
        served = model.champion
        if served is None:
            continue
        name = model.name
        schemas[f"{name}.row"] = _row_schema(served)
        schemas[f"{name}.prediction"] = _prediction_schema(model, served)
        paths[f"/models/{name}/predict"] = {"post": _predict(model, served)}
        paths[f"/v2/models/{name}"] = {"get": _get(f"Inputs and outputs of {name}")}
        paths[f"/v2/models/{name}/ready"] = {"get": _get(f"Whether {name} answers")}
        paths[f"/v2/models/{name}/infer"] = {"post": _infer(model, served)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ratchet",
            "version": "2",
            "description": "Predictions of the champion of each model. `X-Ratchet-Version` of an answer names the version.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"bearer": []}],
    }


def page(models: Iterable[LiveModel]) -> str:
    """Return the document as a page that needs nothing from elsewhere."""
    return templates_beside(__file__).get_template("docs.html").render(document=document(models))


def _get(summary: str, *, secured: bool = True) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": _responses({"description": "As asked"})}
    if not secured:
        operation["security"] = []
    return operation


def _predict(model: LiveModel, served: Served) -> dict[str, Any]:
    reference = {"$ref": f"#/components/schemas/{model.name}.row"}
    rows = {"type": "array", "items": reference, "minItems": 1}
    body = {
        "type": "object",
        "properties": {"rows": rows},
        "required": ["rows"],
        "additionalProperties": False,
    }
    # Of several versions, by segments, each row says its own.
    text = ["string", "null"] if model.segments.declared else "string"
    answer = {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "version": {"type": text},
            "as_of": {"type": text, "format": "date-time"},
            "request_id": {"type": "string"},
            "predictions": {"type": "array", "items": {"$ref": f"#/components/schemas/{model.name}.prediction"}},
        },
        "required": ["model", "version", "as_of", "request_id", "predictions"],
    }
    return {
        "summary": model.declared.description,
        "description": "CSV, Arrow and Parquet bodies are taken as well, by their media type.",
        "operationId": f"predict_{model.name}",
        "parameters": [
            {
                "name": "explain",
                "in": "query",
                "schema": {"type": "boolean", "default": False},
                "description": "Add to each row what every column contributed, for linear and tree models.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": body, "example": {"rows": [example_row(served)]}}},
        },
        "responses": _responses({"description": "Predictions", "content": {"application/json": {"schema": answer}}}),
    }


def _infer(model: LiveModel, served: Served) -> dict[str, Any]:
    return {
        "summary": f"{model.declared.description} (Open Inference Protocol)",
        "operationId": f"infer_{model.name}",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"type": "object", "required": ["inputs"]},
                    "example": example_request(served.schema, example_row(served)),
                }
            },
        },
        "responses": _responses({"description": "Tensors"}),
    }


def _row_schema(served: Served) -> dict[str, Any]:
    columns = served.schema.columns
    return {
        "type": "object",
        "properties": {
            c.name: {
                **_TYPES[c.type],
                "type": [_TYPES[c.type]["type"], "null"],
                **({"description": c.meaning} if c.meaning else {}),
            }
            for c in columns
        },
        "required": [c.name for c in columns if c.required],
        "additionalProperties": False,
        "example": example_row(served),
    }


def _prediction_schema(model: LiveModel, served: Served) -> dict[str, Any]:
    fit = served.predictor.fit
    properties: dict[str, Any] = {"prediction": {"type": "integer" if fit.task == "clustering" else "number"}}
    if fit.classes is not None:
        properties["label"] = {"enum": list(fit.classes)}
        if len(fit.classes) > 2:
            properties |= {f"probability_{name}": {"type": "number"} for name in fit.classes}
    if fit.interval is not None:
        properties |= {LOWER: {"type": "number"}, UPPER: {"type": "number"}}
    properties["out_of_domain"] = {"type": "boolean"}
    if model.segments.declared:
        properties |= {"version": {"type": "string"}, "as_of": {"type": "string", "format": "date-time"}}
    required = list(properties)
    properties["outside"] = {"type": "array", "items": {"type": "string"}}
    properties["explanation"] = {"type": "object"}
    return {"type": "object", "properties": properties, "required": required}


def _error_schema() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    problem = {"row": {"type": ["integer", "null"]}, "field": text, "expected": text, "found": text, "nearest": text}
    return {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "problems": {"type": "array", "items": {"type": "object", "properties": problem}},
        },
        "required": ["error"],
    }


def _responses(good: dict[str, Any]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {"200": good} | {status: {"description": said, "content": content} for status, said in _ERRORS.items()}
