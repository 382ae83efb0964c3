"""The API's description as one page for people. It loads nothing, from here or from elsewhere."""

from collections.abc import Iterator
from html import escape
from typing import Any

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
METHODS = ("get", "post", "put", "delete", "patch")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1d2430; background: #fff; }
h1 { font-size: 1.6rem } h2 { margin-top: 2.5rem; border-bottom: 1px solid #d5dae1; }
code, .path { font-family: ui-monospace, monospace; font-size: .95em }
details { border: 1px solid #d5dae1; border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; overflow-wrap: anywhere } summary .says { color: #4a5565 }
.method { display: inline-block; min-width: 3.2rem; font-weight: 600; color: #0b5cad }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top }
td { overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) {
  body { color: #e4e8ee; background: #14181f } .method { color: #7db8f5 }
  summary .says { color: #a9b3c1 } details, h2 { border-color: #39424f }
}
"""


def docs_page(described: dict[str, Any]) -> str:
    """HTML of an OpenAPI description: each operation, what it takes and what it answers."""
    title = escape(f"{described['info']['title']} {described['info']['version']}")
    models = described.get("components", {}).get("schemas", {})
    body = [f"<h1>{title}: HTTP API</h1>", f"<p>{escape(described['info'].get('summary', ''))}. "]
    body.append("Machines read <a href='openapi.json'><code>/v1/openapi.json</code></a>. ")
    body.append(
        "Every request carries <code>Authorization: Bearer pk_…</code>; every refusal is a "
    )
    body.append("<a href='#Problem'><code>Problem</code></a>.</p>")
    for tag, operations in _by_tag(described).items():
        body.append(f"<h2>{escape(tag)}</h2>")
        body += [_operation(method, path, one) for method, path, one in operations]
    body.append("<h2>Models</h2>")
    body += [_model(name, model) for name, model in sorted(models.items())]
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>"
    )


def _by_tag(described: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, item in described["paths"].items():
        for method in METHODS:
            if method in item:
                tag = (item[method].get("tags") or ["other"])[0]
                found.setdefault(tag, []).append((method, path, item[method]))
    return found


def _operation(method: str, path: str, one: dict[str, Any]) -> str:
    says = str(one.get("description") or one.get("summary") or "")
    rows = [
        (each["name"], f"{each['in']}, {_type(each['schema'])}", each.get("description", ""))
        for each in one.get("parameters", ())
    ]
    sent = one.get("requestBody", {}).get("content", {}).values()
    rows += [("body", _type(content["schema"]), "") for content in sent]
    for status, answer in one["responses"].items():
        for kind, content in answer.get("content", {}).items():
            if status.startswith("2"):
                rows.append((status, _type(content.get("schema", {})) or escape(kind), ""))
    return (
        f"<details><summary><span class='method'>{method.upper()}</span> "
        f"<span class='path'>{escape(path)}</span><br><span class='says'>{escape(says)}</span>"
        f"</summary>{_table(rows)}</details>"
    )


def _model(name: str, model: dict[str, Any]) -> str:
    needed = set(model.get("required", ()))
    rows = [
        (key, _type(field) + (", required" if key in needed else ""), field.get("description", ""))
        for key, field in model.get("properties", {}).items()
    ]
    says = escape(str(model.get("description", "")))
    return (
        f"<details id='{escape(name)}'><summary><code>{escape(name)}</code> "
        f"<span class='says'>{says}</span></summary>{_table(rows)}</details>"
    )


def _table(rows: list[tuple[str, str, str]]) -> str:
    cells = (
        f"<tr><td><code>{escape(name)}</code></td><td>{kind}</td><td>{escape(says)}</td></tr>"
        for name, kind, says in rows
    )
    return f"<table>{''.join(cells)}</table>"


def _type(schema: dict[str, Any]) -> str:
    """A schema's type in a few words, as HTML."""
    return " or ".join(dict.fromkeys(_types(schema)))


def _types(schema: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        yield f"<a href='#{name}'><code>{name}</code></a>"
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _types(each)
    if schema.get("type") == "array":
        yield f"list of {_type(schema.get('items', {})) or 'anything'}"
    elif "type" in schema:
        yield escape(str(schema.get("format") or schema["type"]))
    elif "const" in schema:
        yield f"<code>{escape(str(schema['const']))}</code>"
