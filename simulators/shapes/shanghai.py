"""Shanghai: forms to ``*.do``, a session, certificate types by name, two item codes side by side.

Who asks for what goes with every call: orgName, username, itemName, itemCode, businessCode, UseFor. The real
platform gives out the session at login.do and wants the holder's number encrypted; here the session is a
fixed one and the number is plain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from federation.query import Operation
from simulators.records import Found
from simulators.shapes.shape import Call, RefusedError, Route, Shape, text_at

__all__ = ["SHANGHAI"]

_SESSION = "SH-SIM-SESSION"
_WHO_ASKS = ("orgName", "username", "itemName", "itemCode", "businessCode", "UseFor")
_CERTIFICATE = {"holder_id_type": "holderType", "holder_id": "holderCode", "certificate_type": "certName"}


def _read(names: Mapping[str, str], required: tuple[str, ...] = ()) -> Callable[[Call], Mapping[str, str]]:
    def read(call: Call) -> Mapping[str, str]:
        if text_at(call.body, "sessionId") != _SESSION:
            raise RefusedError("401", "请先登录")
        for name in required:
            if not text_at(call.body, name):
                raise RefusedError("400", f"缺少参数{name}")
        return {ours: text_at(call.body, theirs) for ours, theirs in names.items()}

    return read


def _certificates(found: Found) -> Any:
    return {"result": "success", "message": "", "count": found.total, "certList": list(found.documents)}


def _items(found: Found) -> Any:
    items = [{**item, "businessCode": _business_code(item["itemCode"])} for item in found.documents]
    return {"result": "success", "message": "", "count": found.total, "itemList": items}


def _business_code(item_code: str) -> str:
    """The local code beside the national one: 15 digits."""
    return f"{int(sha256(item_code.encode()).hexdigest(), 16) % 10**15:015d}"


def _refuse(refused: RefusedError) -> Any:
    return {"result": "error", "code": refused.code, "message": refused.text, "count": 0}


SHANGHAI = Shape(
    province="310000",
    routes=(
        Route(
            Operation.CERTIFICATES_QUERY,
            "POST",
            "/zzgx/certQuery.do",
            _read(_CERTIFICATE, (*_WHO_ASKS, "holderType", "holderCode")),
            _certificates,
        ),
        Route(
            Operation.CERTIFICATES_GET,
            "POST",
            "/zzgx/certDetail.do",
            _read({"certificate_id": "certId"}, (*_WHO_ASKS, "certId")),
            _certificates,
        ),
        Route(
            Operation.SERVICES_SEARCH,
            "POST",
            "/zwfw/itemList.do",
            _read(
                {
                    "words": "keyword",
                    "item_code": "itemCode",
                    "division": "areaCode",
                    "page": "pageNo",
                    "page_size": "pageSize",
                }
            ),
            _items,
        ),
        Route(
            Operation.SERVICES_GET,
            "POST",
            "/zwfw/itemDetail.do",
            _read({"item_code": "itemCode"}, ("itemCode",)),
            _items,
        ),
    ),
    refuse=_refuse,
    settings="shanghai.toml",
)
