"""One by one, what the parameters of an authorization request say. Each reader raises OAuthRefusal.

OpenID Connect Core §3.1.2.1 and §5.5, RFC 6749 §4.1.1, RFC 7636 §4.3, RFC 9449 §10. What is not known to the standard
is ignored; what is known and cannot be honoured is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

import orjson
from authlib.oauth2.rfc6749 import scope_to_list
from authlib.oauth2.rfc7636.challenge import CODE_CHALLENGE_PATTERN

from federation.login.claims import CLAIMS, claims_of_scopes
from federation.login.discovery import SCOPES
from federation.login.model import LEVELS, Level, OnBehalf, RelyingParty, meets
from federation.login.refusals import OAuthRefusal

__all__ = [
    "ClaimsAsked",
    "acr_values",
    "check_sizes",
    "claims_asked",
    "code_challenge",
    "dpop_jkt",
    "max_age_s",
    "on_behalf",
    "prompts",
    "province",
    "response_mode",
    "scopes",
    "ui_locales",
]

MOST_PARAMETERS = 40
_LONGEST_NAME = 128
_LONGEST = 2048
_LONGEST_OF: Mapping[str, int] = {
    "request": 16_384,
    "claims": 4096,
    "authorization_details": 16_384,
    "id_token_hint": 8192,
    "client_assertion": 16_384,
    "nonce": 512,
    "state": 2048,
    "scope": 512,
    "acr_values": 512,
    "login_hint": 256,
    "ui_locales": 256,
    "max_age": 10,
    "code_challenge": 128,
    "code_challenge_method": 16,
    "dpop_jkt": 43,
    "yrd_platform_name": 60,
    "yrd_platform": 64,
    "yrd_offline_days": 4,
}
_PROMPTS = frozenset({"none", "login", "consent", "select_account"})
_PROVINCE = re.compile(r"[1-9][0-9]0000", re.ASCII)
_THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_MOST_LOCALES = 10
_MOST_VALUES = 16


def check_sizes(parameters: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters by name. Refused: too many, one too long, one given twice (RFC 6749 §3.1)."""
    found: dict[str, str] = {}
    for name, value in parameters:
        if name in found:
            _refuse("a parameter is given twice")
        if len(name) > _LONGEST_NAME or len(found) >= MOST_PARAMETERS:
            _refuse(
                f"at most {MOST_PARAMETERS} parameters with names of {_LONGEST_NAME} characters are taken"
            )
        if len(value) > _LONGEST_OF.get(name, _LONGEST):
            said = name if name in _LONGEST_OF else "a parameter"
            _refuse(f"{said} is longer than {_LONGEST_OF.get(name, _LONGEST)} characters")
        found[name] = value
    return found


def response_mode(parameters: Mapping[str, str]) -> Literal["query", "form_post"]:
    """Fragments would show a code to scripts, so there are none."""
    mode = parameters.get("response_mode", "query")
    if mode not in ("query", "form_post"):
        _refuse("response_mode must be query or form_post")
    return cast('Literal["query", "form_post"]', mode)


def scopes(parameters: Mapping[str, str], party: RelyingParty) -> frozenset[str]:
    """Those that are known here; one that this client was not registered for is refused."""
    asked = frozenset(scope_to_list(parameters.get("scope", ""))) & frozenset(SCOPES)
    if "openid" not in asked:
        raise OAuthRefusal("invalid_scope", "scope must hold openid")
    wrong = sorted(asked - party.scopes - {"openid"})
    if wrong:
        raise OAuthRefusal("invalid_scope", f"the client is not registered for the scope {wrong[0]}")
    return asked


def prompts(parameters: Mapping[str, str]) -> frozenset[str]:
    """Refused: something unknown, `none` together with another."""
    asked = frozenset(parameters.get("prompt", "").split())
    if asked - _PROMPTS:
        _refuse(f"prompt may be {', '.join(sorted(_PROMPTS))}")
    if "none" in asked and len(asked) > 1:
        _refuse("prompt none goes with no other prompt")
    return asked


def max_age_s(parameters: Mapping[str, str]) -> int | None:
    """None: any age will do."""
    text = parameters.get("max_age", "")
    if text and not (text.isascii() and text.isdigit()):
        _refuse("max_age must be a whole number of seconds, 0 or more")
    return int(text) if text else None


def code_challenge(parameters: Mapping[str, str], *, is_required: bool) -> str:
    """PKCE by S256; empty without. `plain`, and a challenge without method (which would mean plain), are refused."""
    challenge, method = parameters.get("code_challenge", ""), parameters.get("code_challenge_method", "")
    if not challenge and not method and not is_required:
        return ""
    if method != "S256":
        _refuse("code_challenge_method must be S256")
    if not CODE_CHALLENGE_PATTERN.fullmatch(challenge):
        _refuse("code_challenge must be the SHA-256 of the code verifier in base64url")
    return challenge


def dpop_jkt(parameters: Mapping[str, str], proven: str) -> str:
    """The key that the code is bound to: `proven` by a proof at the pushed request, or only named."""
    named = parameters.get("dpop_jkt", "")
    if named and not _THUMBPRINT.fullmatch(named):
        _refuse("dpop_jkt must be the thumbprint of a key")
    if named and proven and named != proven:
        raise OAuthRefusal("invalid_dpop_proof", "dpop_jkt names another key than the proof shows")
    return named or proven


@dataclass(frozen=True, slots=True)
class ClaimsAsked:
    """What is asked for beyond scopes: names, those of them for the ID token, and what was demanded of two of them:
    of `acr` in each place that names it, and of `sub`.
    """

    names: frozenset[str]
    in_id_token: frozenset[str]
    levels: tuple[tuple[str, ...], ...] = ()
    subject: str = ""


@dataclass(slots=True)
class _Found:
    names: set[str] = field(default_factory=set)
    in_id_token: set[str] = field(default_factory=set)
    levels: list[tuple[str, ...]] = field(default_factory=list)
    subject: str = ""


def claims_asked(
    parameters: Mapping[str, str], asked_scopes: frozenset[str], party: RelyingParty
) -> ClaimsAsked:
    """The claims parameter (§5.5) together with what the scopes ask for. Names that are not known here are ignored;
    one that this client was not registered for is refused.
    """
    found = _Found()
    for place, names in _claims_parameter(parameters).items():
        for name, wish in names.items():
            _take_claim(found, place, name, wish)
    allowed = party.claims | claims_of_scopes(party.scopes)
    wrong = sorted(found.names - allowed)
    if wrong:
        _refuse(f"the client is not registered for the claim {wrong[0]}")
    of_scopes = claims_of_scopes(asked_scopes)
    return ClaimsAsked(
        frozenset(found.names) | of_scopes,
        frozenset(found.in_id_token) | (of_scopes if party.is_peer else frozenset()),
        tuple(found.levels),
        found.subject,
    )


def _take_claim(found: _Found, place: str, name: str, wish: Mapping[str, Any]) -> None:
    if name in CLAIMS:
        found.names.add(name)
        if place == "id_token":
            found.in_id_token.add(name)
    elif name == "acr":
        found.levels.append(tuple(_wished(wish)))
    elif name == "sub" and (subjects := _wished(wish)):
        if len(subjects) > 1 or found.subject not in ("", subjects[0]):
            _refuse("the claims parameter names more than one sub")
        found.subject = subjects[0]


def _claims_parameter(parameters: Mapping[str, str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    text = parameters.get("claims", "")
    try:
        read = orjson.loads(text) if text else {}
    except ValueError:
        _refuse("claims is not JSON")
    if not isinstance(read, dict):
        _refuse("claims must be a JSON object")
    places = {place: read[place] for place in ("userinfo", "id_token") if read.get(place) is not None}
    for names in places.values():
        if not isinstance(names, dict) or not all(
            wish is None or isinstance(wish, dict) for wish in names.values()
        ):
            _refuse("in claims, userinfo and id_token must be JSON objects of null or JSON objects")
    return {place: {name: wish or {} for name, wish in names.items()} for place, names in places.items()}


def _wished(wish: Mapping[str, Any]) -> list[str]:
    values = wish["values"] if "values" in wish else [wish["value"]] if "value" in wish else []
    if (
        not isinstance(values, list)
        or len(values) > _MOST_VALUES
        or not all(isinstance(one, str) and len(one) <= _LONGEST for one in values)
    ):
        _refuse("in claims, value must be text and values a list of texts")
    return values


def acr_values(parameters: Mapping[str, str], levels: Iterable[Sequence[str]]) -> tuple[Level, ...]:
    """The levels that will do, in the order of preference: they meet `acr_values`, and each of the demands of the
    claims parameter beside it (`levels`), so that none lowers another. Refused when one that names any names none that
    is known.
    """
    demands = [_known_levels(named) for named in (*levels, parameters.get("acr_values", "").split()) if named]
    floors = [min(known, key=LEVELS.index) for known in demands]
    named = dict.fromkeys(level for known in demands for level in known)
    return tuple(level for level in named if all(meets(level, floor) for floor in floors))


def _known_levels(named: Iterable[str]) -> list[Level]:
    known = [level for level in named if level in LEVELS]
    if not known:
        raise OAuthRefusal("unmet_authentication_requirements", f"the levels of acr are {', '.join(LEVELS)}")
    return known


def ui_locales(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The languages that the citizen likes, the best first."""
    return tuple(parameters.get("ui_locales", "").split())[:_MOST_LOCALES]


def province(parameters: Mapping[str, str]) -> str:
    """The home province that the platform names, by `province` or as `login_hint`; empty: ask the citizen."""
    named = parameters.get("province", "")
    if named and not _PROVINCE.fullmatch(named):
        _refuse("province must be a code of GB/T 2260: six digits, the last four zero")
    hint = parameters.get("login_hint", "")
    return named or (hint if _PROVINCE.fullmatch(hint) else "")


def on_behalf(parameters: Mapping[str, str], party: RelyingParty) -> OnBehalf | None:
    """The platform on whose behalf another node asks. A platform speaks for itself only."""
    client_id, name = parameters.get("yrd_platform", ""), parameters.get("yrd_platform_name", "")
    if not party.is_peer or not client_id:
        return None
    if not name or not name.isprintable() or not client_id.isprintable():
        _refuse("yrd_platform and yrd_platform_name must both be printable text")
    days = parameters.get("yrd_offline_days", "") or "0"
    if not (days.isascii() and days.isdigit()):
        _refuse("yrd_offline_days must be a whole number of days, 0 or more")
    return OnBehalf(client_id, name, int(days))


def _refuse(description: str) -> NoReturn:
    raise OAuthRefusal("invalid_request", description)
