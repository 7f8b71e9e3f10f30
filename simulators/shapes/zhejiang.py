"""Zhejiang: a servicecode and servicepwd with every call.

Holders go in a form, so that no number stands in a URL; single documents and service items are fetched by GET
with the code in the path, and 404 says that one is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from federation.query import Operation
from simulators.records import Found
from simulators.shapes.shape import Call, RefusedError, Route, Shape, text_at

__all__ = ["ZHEJIANG"]

_SERVICE = ("zjsim", "zjsim-pwd")


def _read(names: Mapping[str, str], required: str = "") -> Callable[[Call], Mapping[str, str]]:
    def read(call: Call) -> Mapping[str, str]:
        said = {**call.path, **call.query, **call.body}
        if (said.get("servicecode"), said.get("servicepwd")) != _SERVICE:
            raise RefusedError("1001", "servicecode或servicepwd错误")
        if required and not text_at(said, required):
            raise RefusedError("1002", f"{required}不能为空")
        return {ours: text_at(said, theirs) for ours, theirs in names.items()}

    return read


def _list(found: Found) -> Any:
    return {
        "result": "0",
        "errmsg": "",
        "dataCount": str(found.total),
        "datas": list(found.documents),
    }


def _one(found: Found) -> Any:
    """None becomes a 404."""
    return {"result": "0", "errmsg": "", "data": found.documents[0]} if found.documents else None


def _refuse(refused: RefusedError) -> Any:
    return {"result": refused.code, "errmsg": refused.text}


ZHEJIANG = Shape(
    province="330000",
    routes=(
        Route(
            Operation.CERTIFICATES_QUERY,
            "POST",
            "/irs/dzzz/queryByHolder",
            _read(
                {"holder_id_type": "CZZTDMLXDM", "holder_id": "CZZTDM", "certificate_type": "ZZLXDM"},
                "CZZTDM",
            ),
            _list,
        ),
        Route(
            Operation.CERTIFICATES_GET,
            "GET",
            "/irs/dzzz/{ZZBS}",
            _read({"certificate_id": "ZZBS"}, "ZZBS"),
            _one,
        ),
        Route(
            Operation.SERVICES_SEARCH,
            "GET",
            "/irs/qlsx/list",
            _read(
                {
                    "words": "servicename",
                    "item_code": "code",
                    "division": "areacode",
                    "page": "pageindex",
                    "page_size": "pagesize",
                }
            ),
            _list,
        ),
        Route(
            Operation.SERVICES_GET,
            "GET",
            "/irs/qlsx/{code}",
            _read({"item_code": "code"}, "code"),
            _one,
        ),
    ),
    refuse=_refuse,
    settings="zhejiang.toml",
)
