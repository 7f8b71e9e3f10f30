"""How a portal asks for leave to use a certificate (RFC 9396, type ``certificate_use``), and uses it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mapping.translate import load_dialect
from simulators.walk import BASIS

__all__ = ["consent_question", "said_of", "wished"]


def wished(answering: str, certificate_type: str, case_number: str) -> dict[str, Any]:
    """One of the `authorization_details`: this type of certificate, of that province, for this case."""
    return {
        "type": "certificate_use",
        "answering": [answering],
        "certificate_types": [certificate_type],
        "service_item_code": BASIS["service_item_code"],
        "service_item_name": BASIS["service_item_name"],
        "case_number": case_number,
        "purpose": BASIS["purpose"],
    }


def consent_question(paper: Mapping[str, Any], userinfo: Mapping[str, Any], own: str) -> dict[str, Any]:
    """The body of POST /v1/certificates/query that a paper allows, in the own province's words."""
    local_type = load_dialect(own).code_to_local("certificate_type", paper["certificate_types"][0]).value
    return {
        "province": paper["answering"][0],
        "holder": {"id_type": userinfo["holder_id_type"], "id": userinfo["citizen_number"]},
        "certificate_type": local_type,
        "basis": {
            **BASIS,
            "kind": "holders_consent",
            "case_number": paper["case_number"],
            "consent": paper["consent"],
        },
        "officer": "本人",
    }


def said_of(paper: Mapping[str, Any]) -> dict[str, Any]:
    """What of a paper is shown: all but the token."""
    return {name: value for name, value in paper.items() if name not in ("type", "consent")}
