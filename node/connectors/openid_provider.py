"""Requests to OpenID providers: to home nodes, and to the province's identity provider, which is found by discovery.

Nothing is redirected, nothing is unpacked, an answer has at most `MOST_BYTES`. What a provider answers is trusted for
nothing but its form. Whoever cannot be reached, answers late or with 429 or 5xx is away; an OAuth error in a 4xx is a
refusal; anything else is wrong.

Discovery (OpenID Connect Discovery §4) and keys are asked for when they are needed first and then hourly; keys at once,
but at most every `KEYS_AGAIN_S`, when a token names one that is not known. While the provider is away what was known
stays; one that was never reached is tried every `AWAY_S`, so that logins do not queue up behind each other's waiting.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus, urlencode, urlsplit

import aiohttp
import orjson
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from federation.login.relying_party import (
    ClientAuthentication,
    OpenedIdToken,
    Provider,
    ProviderAway,
    ProviderRefused,
    ProviderWrong,
)
from federation.ports import Clock
from trust.identity import is_loopback_host

__all__ = [
    "MOST_BYTES",
    "DiscoveredProvider",
    "HttpProviderCalls",
    "ProviderSettings",
    "RemoteKeys",
    "SecretAuthentication",
]

MOST_BYTES: Final = 256 * 1024
KEYS_AGAIN_S: Final = 30.0
AWAY_S: Final = 5.0
_KNOWN_FOR = timedelta(hours=1)
_CONFIGURATION = "/.well-known/openid-configuration"
_MOST_KEYS = 64
_ASKED: Final[Mapping[str, str]] = {"Accept": "application/json", "Accept-Encoding": "identity"}
_FORM: Final[Mapping[str, str]] = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class HttpProviderCalls:
    """`ProviderCalls` over one aiohttp session, which the caller opens and closes."""

    session: aiohttp.ClientSession
    timeout_s: float = 5.0
    allow_http_on_loopback: bool = False

    async def post(self, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Mapping[str, Any]:
        """See `ProviderCalls.post`."""
        status, body = await self._ask("POST", url, headers, data=form)
        return _object(url, status, body)

    async def get(self, url: str) -> Mapping[str, Any]:
        """A JSON object. Raises as `post`."""
        status, body = await self._ask("GET", url, {})
        return _object(url, status, body)

    async def userinfo(self, url: str, access_token: str) -> Mapping[str, Any]:
        """See `ProviderCalls.userinfo`. Signed or encrypted answers are not asked for and not understood."""
        status, body = await self._ask("GET", url, {"Authorization": f"Bearer {access_token}"})
        return _object(url, status, body)

    async def _ask(
        self, method: str, url: str, headers: Mapping[str, str], data: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        self._check_scheme(url)
        try:
            async with self.session.request(
                method,
                url,
                data=None if data is None else urlencode(data).encode("ascii"),
                headers={**_ASKED, **({} if data is None else _FORM), **headers},
                timeout=aiohttp.ClientTimeout(total=self.timeout_s),
                allow_redirects=False,
                auto_decompress=False,
            ) as response:
                return response.status, await _bounded(response)
        except TimeoutError:
            raise ProviderAway(f"{url} did not answer within {self.timeout_s:g} s") from None
        except aiohttp.ClientError as error:
            raise ProviderAway(f"{url} cannot be reached: {type(error).__name__}") from error

    def _check_scheme(self, url: str) -> None:
        parts = urlsplit(url)
        on_loopback = self.allow_http_on_loopback and is_loopback_host(parts.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
            raise ProviderWrong(f"{url[:200]} is neither https nor allowed on loopback")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MOST_BYTES:
            raise ProviderWrong(f"{response.url} gives more than {MOST_BYTES} bytes")
    return bytes(body)


def _object(url: str, status: int, body: bytes) -> Mapping[str, Any]:
    if status == 429 or status >= 500:
        raise ProviderAway(f"{url} answers {status}")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ProviderWrong(f"{url} answers {status} and no JSON object")
    if 200 <= status < 300:
        return found
    error = found.get("error")
    if not isinstance(error, str) or not error:
        raise ProviderWrong(f"{url} answers {status} without an error code")
    raise ProviderRefused(_printable(error)[:64], _printable(str(found.get("error_description", "")))[:200])


def _printable(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~" and char not in '"\\')


@dataclass(frozen=True, slots=True)
class SecretAuthentication:
    """client_secret_basic (RFC 6749 §2.3.1). `read_secret` may block."""

    client_id: str
    read_secret: Callable[[], str]

    async def authenticate(self, form: dict[str, str], headers: dict[str, str]) -> None:
        """Add the header. Raises ProviderWrong when the secret cannot be read."""
        try:
            secret = await asyncio.to_thread(self.read_secret)
        except (OSError, UnicodeDecodeError) as error:
            raise ProviderWrong(f"the client secret cannot be read: {type(error).__name__}") from None
        pair = f"{quote_plus(self.client_id)}:{quote_plus(secret)}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """What is known of an identity provider before it is asked."""

    issuer: str
    client_id: str
    id_token_alg: str = "ES256"  # noqa: S105  no password
    other_audiences: frozenset[str] = frozenset()


class DiscoveredProvider:
    """The province's identity provider, as it describes itself."""

    def __init__(
        self,
        settings: ProviderSettings,
        calls: HttpProviderCalls,
        authentication: ClientAuthentication,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._calls = calls
        self._authentication = authentication
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._found: Provider | None = None
        self._asked_at: datetime | None = None

    async def current(self) -> Provider:
        """The provider. Raises ProviderAway when it was never reached, ProviderWrong when its document is."""
        async with self._one_at_a_time:
            if self._found is not None and not self._is_older_than(_KNOWN_FOR):
                return self._found
            if self._found is None and self._asked_at and not self._is_older_than(timedelta(seconds=AWAY_S)):
                raise ProviderAway("no discovery: it was away a moment ago")
            self._asked_at = self._clock.now()
            try:
                self._found = self._read(await self._calls.get(self._settings.issuer + _CONFIGURATION))
            except (ProviderAway, ProviderRefused, ProviderWrong) as error:
                if self._found is None:
                    raise ProviderAway(f"no discovery: {error}") from error
            return self._found

    def _is_older_than(self, age: timedelta) -> bool:
        return self._asked_at is None or self._clock.now() - self._asked_at >= age

    def _read(self, document: Mapping[str, Any]) -> Provider:
        settings = self._settings
        if document.get("issuer") != settings.issuer:
            raise ProviderWrong("the discovery document names another issuer")
        keys = RemoteKeys(_url(document, "jwks_uri"), settings.id_token_alg, self._calls, self._clock)
        return Provider(
            issuer=settings.issuer,
            client_id=settings.client_id,
            authorization_endpoint=_url(document, "authorization_endpoint"),
            token_endpoint=_url(document, "token_endpoint"),
            userinfo_endpoint=_url(document, "userinfo_endpoint", may_miss=True),
            end_session_endpoint=_url(document, "end_session_endpoint", may_miss=True),
            authentication=self._authentication,
            keys=keys,
            sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
            other_audiences=settings.other_audiences,
        )


def _url(document: Mapping[str, Any], name: str, *, may_miss: bool = False) -> str:
    value = document.get(name, "" if may_miss else None)
    if not isinstance(value, str) or not (value or may_miss):
        raise ProviderWrong(f"the discovery document has no {name}")
    return value


class RemoteKeys:
    """The keys at a `jwks_uri`, and what they have signed."""

    def __init__(self, url: str, alg: str, calls: HttpProviderCalls, clock: Clock) -> None:
        self._url = url
        self._alg = alg
        self._calls = calls
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._keys: KeySet | None = None
        self._kids: frozenset[str] = frozenset()
        self._asked_at: datetime | None = None

    async def open(self, id_token: str) -> OpenedIdToken:
        """See `ProviderKeys.open`: with the one algorithm that is configured, so neither ``none`` nor another one."""
        return await self.open_token(id_token)

    async def open_token(self, token: str) -> OpenedIdToken:
        """The same for any JWT of the provider's (a logout token). Raises ProviderWrong, ProviderAway."""
        keys = await self._keys_for(_kid(token))
        try:
            opened = jwt.decode(token, keys, algorithms=[self._alg])
        except (JoseError, ValueError, TypeError) as error:
            raise ProviderWrong(f"its token does not verify: {type(error).__name__}") from None
        return OpenedIdToken(opened.header, opened.claims)

    async def _keys_for(self, kid: str) -> KeySet:
        async with self._one_at_a_time:
            good_for = _KNOWN_FOR if kid in self._kids else timedelta(seconds=KEYS_AGAIN_S)
            if self._keys is None or self._is_older_than(good_for):
                await self._fetch()
            if self._keys is None:
                raise ProviderAway(f"{self._url}: no keys are known")
            return self._keys

    def _is_older_than(self, age: timedelta) -> bool:
        return self._asked_at is None or self._clock.now() - self._asked_at >= age

    async def _fetch(self) -> None:
        try:
            jwks = await self._calls.get(self._url)
            self._keys, self._kids = _key_set(jwks)
        except (ProviderAway, ProviderRefused, ProviderWrong):
            if self._keys is None:
                raise
        self._asked_at = self._clock.now()


def _kid(token: str) -> str:
    try:
        return str(jws.extract_compact(token.encode("ascii")).headers().get("kid", ""))
    except (JoseError, ValueError, TypeError):
        raise ProviderWrong("its token is no signed JWT") from None


def _key_set(jwks: Mapping[str, Any]) -> tuple[KeySet, frozenset[str]]:
    """The keys that signatures are verified with; those that nothing is known of are left out."""
    entries = jwks.get("keys")
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise ProviderWrong("its keys are no JWK Set")
    usable = [one for one in entries if isinstance(one, dict) and _is_for_signatures(one)]
    try:
        keys = KeySet.import_key_set({"keys": usable})
    except (JoseError, ValueError, TypeError) as error:
        raise ProviderWrong(f"its JWK Set cannot be read: {type(error).__name__}") from None
    return keys, frozenset(str(one.get("kid", "")) for one in usable)


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    return jwk.get("kty") in ("EC", "RSA") and jwk.get("use", "sig") == "sig" and "d" not in jwk
