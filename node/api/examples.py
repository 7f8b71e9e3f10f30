"""Requests that a reader of the API can send as they are: made-up numbers with right check characters.

The codes are those of the node's own dialect, and the province asked is never its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from mapping.identifiers import (
    make_certificate_id,
    make_citizen_number,
    make_service_item_code,
    make_uscc,
)
from mapping.translate import Dialect

__all__ = ["Examples"]

_CITIZEN, _MARRIAGE = "111", "111000000000131433001"
_DIVISIONS = {"310000": "310101", "320000": "320102", "330000": "330102", "340000": "340102"}


@dataclass(frozen=True, slots=True)
class Examples:
    """The values that all examples are made of, and the requests made of them."""

    province: str
    id_type: str
    holder_id: str
    certificate_type: str
    certificate_id: str
    item_code: str
    division: str

    @classmethod
    def of(cls, own_province: str, dialect: Dialect) -> Examples:
        """Examples for a node of `own_province` that speaks this dialect."""
        province = "330000" if own_province != "330000" else "310000"
        division = _DIVISIONS[province]
        authority = make_uscc("1", "1", division, "MB123456")
        return cls(
            province,
            dialect.code_to_local("holder_id_type", _CITIZEN).value,
            make_citizen_number(division, date(1990, 3, 7), 653),
            dialect.code_to_local("certificate_type", _MARRIAGE).value,
            make_certificate_id(_MARRIAGE, authority, "201500000017"),
            make_service_item_code(authority, "4", "010100100000"),
            dialect.code_to_local("division", division).value,
        )

    @property
    def basis(self) -> dict[str, str]:
        """Official duty, with service item and case."""
        return {
            "kind": "official_duty",
            "service_item_name": "户口迁移",
            "service_item_code": self.item_code,
            "case_number": "2026-11-0001",
            "purpose": "核验婚姻状况",
        }

    @property
    def query(self) -> dict[str, Any]:
        """certificates/query."""
        return {
            "province": self.province,
            "holder": {"id_type": self.id_type, "id": self.holder_id},
            "certificate_type": self.certificate_type,
            "basis": self.basis,
            "officer": "张三",
        }

    @property
    def get(self) -> dict[str, Any]:
        """certificates/get."""
        return {
            "province": self.province,
            "certificate_id": self.certificate_id,
            "basis": self.basis,
            "officer": "张三",
        }

    @property
    def verify(self) -> dict[str, Any]:
        """certificates/verify, by digest."""
        return {**self.get, "digest": "0f" * 32}

    @property
    def search(self) -> dict[str, Any]:
        """services/query."""
        return {"province": self.province, "words": "户口", "page": 1, "page_size": 20}
