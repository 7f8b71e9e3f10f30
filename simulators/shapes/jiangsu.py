"""Jiangsu: snake_case JSON, an application key in a header, answers in ``custom`` beside a ``status``.

There are lists for certificates, licences and files, of which only the licences are filled; the face is JSON
in a string.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from federation.query import Operation
from simulators.records import Found
from simulators.shapes.shape import Call, RefusedError, Route, Shape, text_at

__all__ = ["JIANGSU"]

_KEY = "js-sim-key"


def _read(names: Mapping[str, str], required: str = "") -> Callable[[Call], Mapping[str, str]]:
    def read(call: Call) -> Mapping[str, str]:
        if call.headers.get("X-App-Key") != _KEY:
            raise RefusedError("401", "应用未授权")
        if required and not text_at(call.body, required):
            raise RefusedError("400", f"{required} is required")
        return {ours: text_at(call.body, theirs) for ours, theirs in names.items()}

    return read


def _certificates(found: Found) -> Any:
    custom = {"certdatas": [], "licensedatas": list(found.documents), "certfiles": []}
    return _wrapped(found, custom)


def _tasks(found: Found) -> Any:
    return _wrapped(found, {"total_count": found.total, "tasks": list(found.documents)})


def _wrapped(found: Found, custom: dict[str, Any]) -> Any:
    text = "查询成功" if found.documents else "未查询到数据"
    code = "1" if found.documents else "0"
    return {"custom": {"code": code, "text": text, **custom}, "status": {"code": 200, "text": "OK"}}


def _refuse(refused: RefusedError) -> Any:
    return {"custom": {}, "status": {"code": int(refused.code), "text": refused.text}}


JIANGSU = Shape(
    province="320000",
    routes=(
        Route(
            Operation.CERTIFICATES_QUERY,
            "POST",
            "/csj/license/query",
            _read(
                {
                    "holder_id_type": "params.holder_identity_type",
                    "holder_id": "params.holder_identity_num",
                    "certificate_type": "params.license_type",
                },
                "params.holder_identity_num",
            ),
            _certificates,
        ),
        Route(
            Operation.CERTIFICATES_GET,
            "POST",
            "/csj/license/detail",
            _read({"certificate_id": "params.license_code"}, "params.license_code"),
            _certificates,
        ),
        Route(
            Operation.SERVICES_SEARCH,
            "POST",
            "/csj/task/list",
            _read(
                {
                    "words": "params.task_name",
                    "item_code": "params.task_code",
                    "division": "params.division_code",
                    "page": "page.page_no",
                    "page_size": "page.page_size",
                }
            ),
            _tasks,
        ),
        Route(
            Operation.SERVICES_GET,
            "POST",
            "/csj/task/detail",
            _read({"item_code": "params.task_code"}, "params.task_code"),
            _tasks,
        ),
    ),
    refuse=_refuse,
    settings="jiangsu.toml",
)
