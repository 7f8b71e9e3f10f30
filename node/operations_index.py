"""What the operations listener has, as a page that leads there."""

from __future__ import annotations

__all__ = ["INDEX_PAGE"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.6 system-ui, "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif;
  max-width: 60rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.6rem; line-height: 1.3; } dt { margin-top: .75rem; font-weight: 600; } dd { margin: 0; }
a { display: inline-block; padding: .25rem 0; } a:focus-visible { outline: 3px solid; }
"""
_PAGES = (
    (
        "/readyz",
        "就绪",
        "ready",
        "是否应接活，不然为何；以及将要出的问题",
        "whether work should come here, and if not why; what will go wrong if nobody looks",
    ),
    ("/livez", "存活", "alive", "进程是否有响应", "whether the process answers"),
    ("/trust", "信任", "trust", "谁是成员，凭谁的声明，到何时", "who belongs, by whose word, until when"),
    (
        "/translations",
        "转换",
        "translations",
        "现行规则集，转换结果，规则集没有的代码",
        "the rule set in force, what came of values, codes without a row",
    ),
    (
        "/evidence",
        "存证",
        "evidence",
        "日志，见证，冲突，与各节点的核对",
        "the log, its witnesses, conflicts, how it compares with the peers'",
    ),
    ("/metrics", "指标", "metrics", "供 Prometheus 采集", "for Prometheus"),
)


def _index() -> bytes:
    items = "".join(
        f'<dt><a href="{path}">{zh} <span lang="en">{en}</span></a> <code>{path}</code></dt>'
        f'<dd>{what} <span lang="en">{what_en}</span></dd>'
        for path, zh, en, what, what_en in _PAGES
    )
    page = (
        '<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>节点运行 Operations</title><style>{_STYLE}</style></head><body>"
        '<header><h1>节点运行 <span lang="en">Operations</span></h1></header>'
        f"<main><nav><dl>{items}</dl></nav></main></body></html>"
    )
    return page.encode()


INDEX_PAGE = _index()
"""The page, as UTF-8."""
