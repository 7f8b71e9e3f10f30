"""Authorization requests: from parameters to an `AuthRequest`, or a refusal to whom it concerns.

RFC 6749 §4.1.1, OpenID Connect Core §3.1.2, RFC 9101, RFC 9126. The order is that of trust:
 1. sizes; each parameter once
 2. the client is known and in good standing
 3. what was pushed is taken, once; a request object is verified, and only what is in it counts
 4. the redirect URI is one of the client's, letter by letter. Until here a refusal is shown to the citizen and
    redirects nowhere; from here on it goes to the client, with `state` and `iss` (RFC 9207)
 5. profile ``fapi2``, and every peer: only what was pushed, with PKCE; a peer names state and nonce
 6. each parameter by itself (`parameters`)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from federation.login import parameters as read_parameters
from federation.login.id_tokens import IdTokens
from federation.login.model import AuthRequest, AuthResponse, RelyingParty
from federation.login.ports import Papers, PushedRequests, RelyingParties
from federation.login.refusals import OAuthRefusal, PageRefusal, Turn
from federation.login.request_objects import RequestObjects
from federation.login.uses import Uses

__all__ = ["PUSHED_PREFIX", "RefusedToClient", "Requests", "error_response"]

PUSHED_PREFIX = "urn:ietf:params:oauth:request_uri:"
_PUSH_FIRST = "push the request to /oidc/par first (RFC 9126)"
_NOT_INSIDE = ("client_assertion", "client_assertion_type", "client_secret")


class RefusedToClient(Exception):
    """A refusal that goes back to the client through the browser."""

    def __init__(self, response: AuthResponse, refusal: OAuthRefusal) -> None:
        super().__init__(refusal.description)
        self.response = response
        self.refusal = refusal


@dataclass(frozen=True, slots=True)
class Requests:
    """Reads requests for the provider `issuer`. `papers` is None where consents as papers are not offered."""

    issuer: str
    parties: RelyingParties
    pushed: PushedRequests
    objects: RequestObjects
    id_tokens: IdTokens
    papers: Papers | None = None

    async def read(self, parameters: Iterable[tuple[str, str]]) -> AuthRequest:
        """The request of an authorization endpoint.

        Raises PageRefusal, RefusedToClient, OwnStoreUnavailable.
        """
        try:
            given = read_parameters.check_sizes(parameters)  # 1
        except OAuthRefusal as refusal:
            raise _on_page("login.bad_request", refusal.description) from None
        party = await self._party(given.get("client_id", ""))  # 2
        request_uri = given.get("request_uri", "")
        if request_uri.startswith(PUSHED_PREFIX):
            return await self._take(request_uri, party)  # 3
        if "request" in given and party.profile == "basic" and not request_uri:
            given = await self._opened(given, party)
        redirect_uri = _redirect_uri(given, party)  # 4
        try:
            if request_uri:
                raise OAuthRefusal("request_uri_not_supported", f"request_uri is not ours: {_PUSH_FIRST}")
            if party.profile == "fapi2":  # 5
                raise OAuthRefusal("invalid_request", _PUSH_FIRST)
            return self._checked(given, party, redirect_uri, "")
        except OAuthRefusal as refusal:
            raise self._to_client(given, redirect_uri, refusal) from None

    async def push(
        self, parameters: Iterable[tuple[str, str]], party: RelyingParty, *, jkt: str, life_s: int, uses: Uses
    ) -> str:
        """Check and keep a request of a client that was authenticated; the request_uri (RFC 9126 §2).

        `jkt` is the key that was proven with it, or empty. Raises OAuthRefusal, OwnStoreUnavailable; UsedBefore for
        one of the `uses`, then nothing is kept.
        """
        given = read_parameters.check_sizes(parameters)
        for name in _NOT_INSIDE:
            given.pop(name, None)
        if "request_uri" in given:
            raise OAuthRefusal("invalid_request", "a pushed request must not name another one by request_uri")
        if "request" in given:
            await uses.settle()  # before what the request object uses up
            given = await self._from_object(given, party)
        if given.get("client_id", party.client_id) != party.client_id:
            raise OAuthRefusal("invalid_request", "client_id is not the client that authenticated")
        redirect_uri = given.get("redirect_uri", "")
        if redirect_uri not in party.redirect_uris:
            raise OAuthRefusal("invalid_request", "redirect_uri is not one that the client registered")
        request = self._checked(given, party, redirect_uri, jkt)
        return await self.pushed.keep(request, life_s=life_s, uses=uses.taken)

    async def _party(self, client_id: str) -> RelyingParty:
        party = await self.parties.find(client_id) if client_id else None
        if party is None:
            raise _on_page("login.unknown_client", "client_id names no client of this node")
        return party

    async def _take(self, request_uri: str, party: RelyingParty) -> AuthRequest:
        request = await self.pushed.take(request_uri, party.client_id)
        if request is None:
            raise PageRefusal(
                "login.request_expired",
                turn=Turn.CITIZEN,
                detail="invalid_request_uri: the request_uri was used before, has expired, or is another client's",
            )
        if request.redirect_uri not in party.redirect_uris:
            raise _on_page("login.redirect_uri", "redirect_uri is not registered any more")
        return request

    async def _opened(self, given: Mapping[str, str], party: RelyingParty) -> dict[str, str]:
        """What a request object holds. What is wrong with it goes to the redirect URI that stands beside it."""
        try:
            return await self._from_object(given, party)
        except OAuthRefusal as refusal:
            raise self._to_client(given, _redirect_uri(given, party), refusal) from None

    async def _from_object(self, given: Mapping[str, str], party: RelyingParty) -> dict[str, str]:
        if given.get("client_id", party.client_id) != party.client_id:
            raise OAuthRefusal("invalid_request", "client_id is not the client that authenticated")
        return read_parameters.check_sizes((await self.objects.read(given["request"], party)).items())

    def _checked(
        self, given: Mapping[str, str], party: RelyingParty, redirect_uri: str, jkt: str
    ) -> AuthRequest:
        _require_code(given)
        mode = read_parameters.response_mode(given)
        if "registration" in given:
            raise OAuthRefusal("registration_not_supported", "clients are registered by the node's operator")
        if party.is_peer and not (given.get("state") and given.get("nonce")):  # 5
            raise OAuthRefusal("invalid_request", "state and nonce are missing")
        asked = read_parameters.scopes(given, party)
        claims = read_parameters.claims_asked(given, asked, party)
        hinted = self._hinted(given, party)
        if hinted and claims.subject not in ("", hinted):
            raise OAuthRefusal("invalid_request", "id_token_hint and claims name different subjects")
        return AuthRequest(
            client_id=party.client_id,
            client_name=party.name,
            is_peer=party.is_peer,
            sector=party.sector,
            redirect_uri=redirect_uri,
            response_mode=mode,
            scopes=asked,
            state=given.get("state", ""),
            nonce=given.get("nonce", ""),
            code_challenge=read_parameters.code_challenge(given, is_required=party.profile == "fapi2"),
            dpop_jkt=read_parameters.dpop_jkt(given, jkt),
            acr_values=read_parameters.acr_values(given, claims.levels),
            max_age_s=read_parameters.max_age_s(given),
            prompt=read_parameters.prompts(given),
            claims=claims.names,
            id_token_claims=claims.in_id_token,
            authorization_details=self._details(given),
            login_hint=given.get("login_hint", ""),
            province=read_parameters.province(given),
            ui_locales=read_parameters.ui_locales(given),
            on_behalf=read_parameters.on_behalf(given, party),
            id_token_hint_sub=hinted or claims.subject,
        )

    def _hinted(self, given: Mapping[str, str], party: RelyingParty) -> str:
        hint = given.get("id_token_hint", "")
        return self.id_tokens.read_hint(hint, party.client_id).subject if hint else ""

    def _details(self, given: Mapping[str, str]) -> str:
        text = given.get("authorization_details", "")
        if not text:
            return ""
        if self.papers is None:
            raise OAuthRefusal("invalid_authorization_details", "this node issues no consents")
        return self.papers.read(text)

    def _to_client(
        self, given: Mapping[str, str], redirect_uri: str, refusal: OAuthRefusal
    ) -> RefusedToClient:
        """The mode that was asked for, when there is such a one: the client listens there."""
        is_posted = given.get("response_mode") == "form_post"
        response = error_response(
            self.issuer,
            redirect_uri,
            refusal.error,
            refusal.description,
            state=given.get("state", ""),
            mode_is_post=is_posted,
        )
        return RefusedToClient(response, refusal)


def error_response(
    issuer: str, redirect_uri: str, error: str, description: str, *, state: str, mode_is_post: bool
) -> AuthResponse:
    """An error for the client, with `state` and `iss` (RFC 6749 §4.1.2.1, RFC 9207 §2)."""
    said = [("error", error), ("error_description", description)]
    if state:
        said.append(("state", state))
    return AuthResponse(redirect_uri, (*said, ("iss", issuer)), "form_post" if mode_is_post else "query")


def _require_code(given: Mapping[str, str]) -> None:
    if "response_type" not in given:
        raise OAuthRefusal("invalid_request", "response_type is missing")
    if given["response_type"] != "code":
        raise OAuthRefusal("unsupported_response_type", "response_type must be code")


def _redirect_uri(given: Mapping[str, str], party: RelyingParty) -> str:
    """As it stands: no comparison that is cleverer than the client's (RFC 9700 §4.1.3)."""
    uri = given.get("redirect_uri", "")
    if uri in party.redirect_uris:
        return uri
    raise _on_page("login.redirect_uri", "redirect_uri is not one that the client registered")


def _on_page(code: str, detail: str) -> PageRefusal:
    return PageRefusal(code, turn=Turn.PLATFORM, detail=detail)
