"""Examples of every call of the OpenAPI document, made from those of the fields."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

Schema = Mapping[str, Any]

_MOMENT = "2024-03-01T12:00:00Z"
_OF_A_FORMAT = {"date-time": _MOMENT, "binary": "(the file)"}
_OF_A_TYPE: dict[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 0.5,
    "boolean": False,
    "null": None,
    "object": {},
    "array": [],
}


def add_examples(document: dict[str, Any]) -> None:
    """Give an example to each body and needed parameter of an OpenAPI document that has none."""
    known = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["required"]:
                    _give(parameter, known)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if content["schema"].get("format") != "binary":  # no text is an example of a file
                    _give(content, known)
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    if status >= "4":
                        content["example"] = _problem(int(status), answer["description"])
                    _give(content, known)


def example_of(schema: Schema, known: Mapping[str, Schema]) -> Any:
    """Return an example of a schema; `known` are those that it may refer to, by name."""
    for given in ("example", "const", "default"):
        if schema.get(given) is not None:
            return schema[given]
    for given in ("examples", "enum"):
        if schema.get(given):
            return schema[given][0]
    if "$ref" in schema:
        return example_of(known[schema["$ref"].rpartition("/")[2]], known)
    for of in ("allOf", "anyOf", "oneOf"):
        if schema.get(of):
            return example_of(schema[of][0], known)
    if schema.get("type") == "object" and "properties" in schema:
        return {key: example_of(each, known) for key, each in schema["properties"].items()}
    if schema.get("prefixItems"):
        return [example_of(each, known) for each in schema["prefixItems"]]
    if schema.get("type") == "array" and schema.get("items"):
        return [example_of(schema["items"], known)]
    return _OF_A_FORMAT.get(schema.get("format", ""), _OF_A_TYPE.get(schema.get("type", "object")))


def _problem(status: int, detail: str) -> dict[str, Any]:
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail}


def _give(holder: dict[str, Any], known: Mapping[str, Schema]) -> None:
    if "example" not in holder and "examples" not in holder:
        holder["example"] = example_of(holder.get("schema", {}), known)
