"""POST /login/backchannel-logout: logout tokens of home nodes, visited nodes and the identity provider.

Answers as OpenID Connect Back-Channel Logout §2.8 has them: 200 when it is done, or was already; 400 with an OAuth
error for a token that is not in order; 503 when it may be sent again. Nobody stores them.
"""

from __future__ import annotations

from typing import Final

import structlog
from aiohttp import web

from federation.errors import FederationError, code_of
from federation.login.logout_receiver import LogoutReceiver
from federation.login.logout_tokens import LogoutTokenRejected
from federation.login.refusals import OAuthRefusal
from federation.login.relying_party import ProviderAway
from node.web.oidc.border import Handler, as_json
from node.web.oidc.reading import read_form

__all__ = ["BACKCHANNEL_PATH", "add_backchannel"]

BACKCHANNEL_PATH: Final = "/login/backchannel-logout"
_log = structlog.get_logger("yrd.login")


def add_backchannel(app: web.Application, receiver: LogoutReceiver, *, path: str = "") -> None:
    """Serve it. `path` is the path of the entity id when it has one."""
    app.router.add_post(path + BACKCHANNEL_PATH, _handler(receiver))


def _handler(receiver: LogoutReceiver) -> Handler:
    async def receive(request: web.Request) -> web.StreamResponse:
        try:
            form = await read_form(request)
            ended = await receiver.receive(form.get("logout_token", ""))
        except LogoutTokenRejected as error:
            _log.warning("login.logout_token_refused", detail=str(error))
            return _refused("invalid_request", f"the logout token is refused: {error}", 400)
        except OAuthRefusal as error:
            return _refused(error.error, error.description, error.status)
        except (FederationError, ProviderAway) as error:
            code = code_of(error) if isinstance(error, FederationError) else "identity_provider_away"
            _log.warning("login.logout_not_taken", code=code)
            return _refused("temporarily_unavailable", "send it again later", 503)
        except Exception:  # the border: nothing goes out that was not meant to
            _log.exception("login.failed", path=request.path)
            return _refused("server_error", "see the log of this node", 500)
        _log.info("login.logout_taken", sessions=ended)
        return web.Response(status=200, headers={"Cache-Control": "no-store"})

    return receive


def _refused(error: str, description: str, status: int) -> web.Response:
    text = "".join(char if " " <= char <= "~" and char not in '"\\' else "'" for char in description)
    return as_json({"error": error, "error_description": text}, status=status)
