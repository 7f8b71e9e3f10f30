"""The API's reference as one page: Chinese first, no script, nothing from elsewhere.

It is rendered from the OpenAPI document when the node starts, so it cannot tell anything else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from federation.errors import TABLE
from node.api.openapi import Document

__all__ = ["docs_page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.3; } h2 { margin-top: 2.5rem; } h3 { margin-top: 2rem; }
code, pre { font-family: ui-monospace, Consolas, monospace; font-size: .9rem; }
pre { padding: .75rem; overflow-x: auto; border: 1px solid; border-radius: .25rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; }
th, td { border: 1px solid; padding: .3rem .5rem; text-align: left; vertical-align: top; }
.scroll { overflow-x: auto; } .method { text-transform: uppercase; font-weight: 700; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
a { color: LinkText; } a:focus-visible { outline: 3px solid; }
"""


def docs_page(document: Document) -> bytes:
    """The page, as UTF-8."""
    info = document.data["info"]
    title = escape(info["title"])
    parts = [
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        '<a class="skip" href="#main">跳到正文 / Skip to content</a>',
        f"<header><h1>{title}</h1>{_paragraphs(info['description'])}",
        '<p><a href="/openapi.json">openapi.json</a> · 版本 <span lang="en">version</span> ',
        f"{escape(info['version'])}</p></header>",
        _contents(document.data),
        '<main id="main"><h2 id="operations">操作 <span lang="en">Operations</span></h2>',
        *_operations(document.data),
        '<h2 id="models">数据 <span lang="en">Models</span></h2>',
        *_models(document.data["components"]["schemas"]),
        '<h2 id="errors">错误代码 <span lang="en">Error codes</span></h2>',
        _errors(),
        "</main></body></html>",
    ]
    return "".join(parts).encode()


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n\n"))


def _each(data: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, methods in data["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _contents(data: Mapping[str, Any]) -> str:
    links = [
        f'<li><a href="#{operation["operationId"]}"><code>{escape(path)}</code></a> '
        f"{escape(operation['summary'])}</li>"
        for path, _, operation in _each(data)
    ]
    links.append('<li><a href="#models">数据 <span lang="en">Models</span></a></li>')
    links.append('<li><a href="#errors">错误代码 <span lang="en">Error codes</span></a></li>')
    return f'<nav aria-label="目录 / Contents"><ul>{"".join(links)}</ul></nav>'


def _operations(data: Mapping[str, Any]) -> Iterator[str]:
    for path, method, operation in _each(data):
        name = operation["operationId"]
        yield f'<section aria-labelledby="{name}"><h3 id="{name}"><span class="method">{method}</span> '
        yield f"<code>{escape(path)}</code></h3><p>{escape(operation['summary'])}</p>"
        yield f'<p lang="en">{escape(operation["description"])}</p>'
        yield _parameters(operation.get("parameters", []))
        yield from _request_body(operation.get("requestBody"))
        yield _answers(operation["responses"], data["components"]["responses"])
        yield "</section>"


def _parameters(parameters: list[Mapping[str, Any]]) -> str:
    rows = [
        (f"<code>{escape(one['name'])}</code>", escape(one["in"]), escape(one.get("description", "")))
        for one in parameters
    ]
    return _table("参数 / Parameters", ("名称 / name", "位置 / in", "说明 / meaning"), rows) if rows else ""


def _request_body(body: Mapping[str, Any] | None) -> Iterator[str]:
    if body is None:
        return
    for kind, content in body["content"].items():
        yield f"<p>请求 <span lang='en'>Request</span>: <code>{escape(kind)}</code>, "
        yield f"{_link(content['schema'])}</p>"
        if "example" in content:
            yield f"<pre>{escape(json.dumps(content['example'], ensure_ascii=False, indent=2))}</pre>"


def _answers(responses: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    rows = []
    for status, response in responses.items():
        whole = shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response
        models = ", ".join(_link(content["schema"]) for content in whole.get("content", {}).values())
        rows.append((status, escape(whole["description"]), models))
    return _table("答复 / Answers", ("状态 / status", "含义 / meaning", "数据 / model"), rows)


def _models(schemas: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in schemas.items():
        yield f'<section aria-labelledby="model-{name}"><h3 id="model-{name}">{escape(name)}</h3>'
        yield f"<p>{escape(schema.get('description', ''))}</p>"
        rows = [
            (
                f"<code>{escape(field)}</code>",
                "是 / yes" if field in schema.get("required", []) else "否 / no",
                _shape(about),
                escape(about.get("description", "")),
            )
            for field, about in schema.get("properties", {}).items()
        ]
        heads = ("字段 / field", "必填 / required", "类型 / type", "说明 / meaning")
        yield _table(f"{escape(name)}", heads, rows) + "</section>"


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return _link(schema)
    if "anyOf" in schema:
        return " | ".join(_shape(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if schema.get("type") == "array":
        return f"[ {_shape(schema.get('items', {}))} ]"
    if schema.get("type") == "object":
        return f"{{ … : {_shape(schema.get('additionalProperties', {}))} }}"
    limits = "".join(
        f", {word} {schema[key]}"
        for key, word in (("minLength", "≥"), ("maxLength", "≤"), ("minimum", "≥"), ("maximum", "≤"))
        if key in schema
    )
    return escape(f"{schema.get('type', 'any')}{limits}")


def _link(schema: Mapping[str, Any]) -> str:
    name = escape(str(schema.get("$ref", "")).rpartition("/")[2])
    return f'<a href="#model-{name}">{name}</a>' if name else escape(str(schema.get("type", "")))


def _errors() -> str:
    rows = [
        (
            f"<code>{escape(row.code)}</code>",
            str(row.http),
            escape(row.zh),
            f'<span lang="en">{escape(row.en)}</span>',
        )
        for row in TABLE.values()
    ]
    return _table("RFC 9457", ("代码 / code", "HTTP", "含义", "Meaning"), rows)


def _table(caption: str, heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Cells are HTML already."""
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
