"""Answers that must be JSON of a schema: read leniently, checked strictly.

Models wrap JSON in fences and words; those are taken off. What is left is checked against the
schema with the `jsonschema` library if it is installed (`pip install 'parkade[compound]'`).
"""

import re
from typing import Any

import msgspec

from parkade.extras import install

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)
MAX_ERROR = 300


def read(text: str, schema: dict[str, Any]) -> tuple[str, str]:
    """The JSON text inside an answer and "", or the answer and what is wrong with it."""
    inner = _unwrapped(text)
    try:
        value = msgspec.json.decode(inner)
    except msgspec.DecodeError as error:
        return text, f"not JSON: {error}"
    error_text = check(value, schema)
    return (text, error_text) if error_text else (inner, "")


def fault(schema: dict[str, Any]) -> str:
    """Why no answer can be held against a schema, or ""."""
    try:
        import jsonschema
    except ImportError:
        return f"a schema needs the library jsonschema: {install('compound')}"
    if not isinstance(schema.get("$schema", ""), str):
        return "its schema is no JSON Schema: $.$schema must be a text"
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.SchemaError as error:
        return f"its schema is no JSON Schema: {error.json_path}: {error.message}"[:MAX_ERROR]
    return ""


def check(value: Any, schema: dict[str, Any]) -> str:
    """What is wrong with a value, or ""; of a schema without a `fault`."""
    import jsonschema

    best = jsonschema.exceptions.best_match(
        jsonschema.validators.validator_for(schema)(schema).iter_errors(value)
    )
    if best is None:
        return ""
    return f"{best.json_path}: {best.message}"[:MAX_ERROR]


def _unwrapped(text: str) -> str:
    fenced = _FENCE.search(text)
    inner = (fenced.group(1) if fenced else text).strip()
    starts = [place for place in (inner.find("{"), inner.find("[")) if place >= 0]
    if inner[:1] in ("{", "[", '"') or not starts:
        return inner
    start = min(starts)
    end = max(inner.rfind("}"), inner.rfind("]"))
    return inner[start : end + 1] if end > start else inner
