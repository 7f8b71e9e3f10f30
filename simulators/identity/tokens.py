"""The keys of a simulated identity provider and the tokens that it signs: right, or wrong on demand."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import warnings
from collections.abc import Mapping
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeyParameters, KeySet, RSAKey

from simulators.identity.misbehaviour import Misbehaving, Misdeed

__all__ = ["LOGOUT_EVENT", "Signing", "TokenRejectedError", "read_signed"]

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LIFE_S = 300
_LOGOUT_LIFE_S = 120


class TokenRejectedError(Exception):
    """A token does not hold; the message says why."""


def _new_key(algorithm: str) -> ECKey | RSAKey:
    parameters: KeyParameters = {"use": "sig", "alg": algorithm, "kid": secrets.token_urlsafe(8)}
    if algorithm == "ES256":
        return ECKey.generate_key("P-256", parameters)
    return RSAKey.generate_key(2048, parameters)


class Signing:
    """Signs for one issuer. `misbehaving` is asked at each ID token."""

    def __init__(self, issuer: str, misbehaving: Misbehaving, algorithm: str = "ES256") -> None:
        self.issuer = issuer
        self.misbehaving = misbehaving
        self.algorithm = algorithm
        self._key, self._stray = _new_key(algorithm), _new_key(algorithm)

    @property
    def jwks(self) -> dict[str, Any]:
        """The published keys."""
        return {"keys": [dict(self._key.as_dict(private=False))]}

    def id_token(self, claims: Mapping[str, Any], *, now: int) -> str:
        """An ID token of these claims, with issuer and times."""
        said: dict[str, Any] = {"iss": self.issuer, "iat": now, "exp": now + _LIFE_S, **claims}
        does = self.misbehaving.does
        if does(Misdeed.WRONG_NONCE):
            said["nonce"] = secrets.token_urlsafe(16)
        if does(Misdeed.WRONG_AUDIENCE):
            said["aud"] = "somebody-else"
        if does(Misdeed.MORE_AUDIENCES):
            said["aud"] = [said["aud"], "somebody-else"]
        if does(Misdeed.OLD_TOKEN):
            said |= {"iat": now - 3600 - _LIFE_S, "exp": now - 3600}
        if does(Misdeed.OTHER_ISSUER):
            said["iss"] = "https://idp.elsewhere.example"
        if does(Misdeed.UNKNOWN_ACR):
            said["acr"] = "urn:sim:unheard-of"
        if does(Misdeed.OLD_AUTHENTICATION):
            said["auth_time"] = now - 86400
        return self._sign(said, "JWT")

    def logout_token(self, claims: Mapping[str, Any], *, now: int) -> str:
        """A logout token (OpenID Connect Back-Channel Logout 1.0 §2.4)."""
        said = {
            "iss": self.issuer,
            "iat": now,
            "exp": now + _LOGOUT_LIFE_S,
            "jti": secrets.token_urlsafe(16),
            "events": {LOGOUT_EVENT: {}},
            **claims,
        }
        return jwt.encode(self._header("logout+jwt"), said, self._key, algorithms=[self.algorithm])

    def own_claims(self, token: str) -> Mapping[str, Any]:
        """The claims of an ID token that this key signed, however old. Raises TokenRejectedError."""
        return read_signed(token, KeySet([self._key]), (self.algorithm,))

    def _header(self, typ: str) -> dict[str, Any]:
        return {"alg": self.algorithm, "kid": self._key.kid, "typ": typ}

    def _sign(self, claims: dict[str, Any], typ: str) -> str:
        does = self.misbehaving.does
        if does(Misdeed.NO_ALGORITHM):
            return f"{_part({'alg': 'none', 'typ': typ})}.{_part(claims)}."
        if does(Misdeed.MAC_WITH_PUBLIC_KEY):
            message = f"{_part({**self._header(typ), 'alg': 'HS256'})}.{_part(claims)}"
            mac = hmac.digest(self._key.as_pem(private=False), message.encode(), hashlib.sha256)
            return f"{message}.{_text(mac)}"
        key = self._stray if does(Misdeed.OTHER_KEY) else self._key
        return jwt.encode(self._header(typ), claims, key, algorithms=[self.algorithm])


def read_signed(token: str, keys: KeySet, algorithms: tuple[str, ...]) -> Mapping[str, Any]:
    """The claims of a token that one of these keys signed; times are not looked at. Raises TokenRejectedError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a foreign key's form is not ours to warn of
            claims: Mapping[str, Any] = jwt.decode(token, keys, algorithms=list(algorithms)).claims
    except (JoseError, ValueError) as error:
        raise TokenRejectedError(f"{type(error).__name__}: {error}") from error
    return claims


def _part(said: Mapping[str, Any]) -> str:
    return _text(json.dumps(said).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
