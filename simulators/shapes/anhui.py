"""Anhui: source and version with every call, parameters nested in ``param``, ``data`` is JSON in a string.

The real platform also encodes its query string in Base64, twice; a JSON body stands for it here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from federation.query import Operation
from simulators.records import Found
from simulators.shapes.shape import Call, RefusedError, Route, Shape, text_at

__all__ = ["ANHUI"]

_SOURCE, _VERSION = "501", "2"


def _read(names: Mapping[str, str], required: str = "") -> Callable[[Call], Mapping[str, str]]:
    def read(call: Call) -> Mapping[str, str]:
        if (text_at(call.body, "source"), text_at(call.body, "version")) != (_SOURCE, _VERSION):
            raise RefusedError("E01", "来源或版本不正确")
        if required and not text_at(call.body, required):
            raise RefusedError("E02", f"{required}不能为空")
        return {ours: text_at(call.body, theirs) for ours, theirs in names.items()}

    return read


def _rows(found: Found) -> Any:
    data = {"total": found.total, "rows": list(found.documents)}
    return {
        "success": True,
        "code": "0000",
        "msg": "操作成功",
        "data": json.dumps(data, ensure_ascii=False, separators=(",", ":")),
    }


def _refuse(refused: RefusedError) -> Any:
    return {"success": False, "code": refused.code, "msg": refused.text, "data": None}


ANHUI = Shape(
    province="340000",
    routes=(
        Route(
            Operation.CERTIFICATES_QUERY,
            "POST",
            "/ahzwfw/api/license/queryLicense",
            _read(
                {
                    "holder_id_type": "param.userPageType",
                    "holder_id": "param.certKey",
                    "certificate_type": "param.licenseTypeCode",
                },
                "param.certKey",
            ),
            _rows,
        ),
        Route(
            Operation.CERTIFICATES_GET,
            "POST",
            "/ahzwfw/api/license/getLicense",
            _read({"certificate_id": "param.licenseOid"}, "param.licenseOid"),
            _rows,
        ),
        Route(
            Operation.SERVICES_SEARCH,
            "POST",
            "/ahzwfw/api/service/queryService",
            _read(
                {
                    "words": "param.projName",
                    "item_code": "param.serviceCode",
                    "division": "param.regionCode",
                    "page": "param.pageNum",
                    "page_size": "param.pageSize",
                }
            ),
            _rows,
        ),
        Route(
            Operation.SERVICES_GET,
            "POST",
            "/ahzwfw/api/service/getService",
            _read({"item_code": "param.serviceCode"}, "param.serviceCode"),
            _rows,
        ),
    ),
    refuse=_refuse,
    settings="anhui.toml",
)
