"""What `yrd client` says about a platform as a relying party: options, their checks, how it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click

from node.cli.say import Failed

__all__ = ["login_options", "login_terms", "shown_login"]

F = TypeVar("F", bound=Callable[..., Any])
_MOST_URIS = 16
_MOST_URI = 512
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SECTOR = re.compile(r"[a-z0-9][a-z0-9._-]{1,63}")


def login_options(command: F) -> F:
    """The options of `yrd client add` that make a client a relying party."""
    options = (
        click.option("--login", is_flag=True, help="可为公民登录（OpenID）/ It may log citizens in (OpenID)"),
        click.option("--redirect-uri", "redirect_uris", multiple=True, help="回调地址 / Where codes go"),
        click.option(
            "--post-logout-redirect-uri",
            "after_logout",
            multiple=True,
            help="退出后地址 / Where a log-out leads",
        ),
        click.option("--backchannel-logout-uri", default="", help="退出通知 / Where log-outs are told"),
        click.option(
            "--profile",
            type=click.Choice(["basic", "fapi2"]),
            default="basic",
            show_default=True,
            help="fapi2: PAR + DPoP + private_key_jwt",
        ),
        click.option(
            "--scopes", default="openid profile", show_default=True, help="可要的范围 / What it may ask"
        ),
        click.option("--claims", default="", help="另可要的信息项 / Claims that it may ask for besides"),
        click.option(
            "--sector", default="", help="同组平台看到同一标识 / Its group: one subject for all of them"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def login_terms(
    *,
    login: bool,
    redirect_uris: Sequence[str],
    after_logout: Sequence[str],
    backchannel_logout_uri: str,
    profile: str,
    scopes: str,
    claims: str,
    sector: str,
    has_keys: bool,
) -> Any:
    """The checked `LoginTerms`, or None without --login. Raises Failed."""
    from node.store.clients import LoginTerms

    if not login:
        if redirect_uris or after_logout or backchannel_logout_uri:
            raise Failed("须加 --login", "addresses of logins need --login")
        return None
    if profile == "fapi2" and not has_keys:
        raise Failed("fapi2 须用 --private-key-jwt", "the profile fapi2 needs --private-key-jwt")
    for wrong in _findings(redirect_uris, after_logout, backchannel_logout_uri, sector):
        raise wrong
    return LoginTerms(
        redirect_uris=tuple(redirect_uris),
        post_logout_redirect_uris=tuple(after_logout),
        backchannel_logout_uri=backchannel_logout_uri,
        profile="fapi2" if profile == "fapi2" else "basic",
        scopes=_known(scopes, _scopes(), "scopes") | {"openid"},
        claims=_known(claims, _claims(), "claims"),
        sector=sector,
    )


def _findings(
    redirect_uris: Sequence[str], after_logout: Sequence[str], told: str, sector: str
) -> Iterator[Failed]:
    if not 0 < len(redirect_uris) <= _MOST_URIS or len(after_logout) > _MOST_URIS:
        yield Failed(
            f"须有 1–{_MOST_URIS} 个 --redirect-uri", f"there must be 1 to {_MOST_URIS} of --redirect-uri"
        )
    for uri in (*redirect_uris, *after_logout, *([told] if told else [])):
        if not _is_address(uri):
            yield Failed(
                f"{uri!a} 须为不含片段的 https 地址（本机可用 http）",
                f"{uri!a} must be an https URL without fragment and user (http on loopback only)",
            )
    if sector and not _SECTOR.fullmatch(sector):
        yield Failed("--sector 须为小写字母、数字、点、横线", "--sector has a-z, 0-9, dot, dash, underscore")


def _is_address(uri: str) -> bool:
    """Whether it can be compared letter by letter, and leads to one place (RFC 9700 §4.1)."""
    if len(uri) > _MOST_URI or not uri.isascii() or not uri.isprintable() or set(uri) & set(' "<>\\^`{|}#*'):
        return False
    try:
        parts = urlsplit(uri)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    is_local = parts.scheme == "http" and host in _LOOPBACK
    return bool(host) and (parts.scheme == "https" or is_local) and "@" not in parts.netloc


def _known(text: str, known: frozenset[str], what: str) -> frozenset[str]:
    wanted = frozenset(text.replace(",", " ").split())
    if wanted - known:
        said = ", ".join(sorted(wanted - known))
        raise Failed(f"没有：{said}", f"no such {what}: {said}; known: {', '.join(sorted(known))}")
    return wanted


def _scopes() -> frozenset[str]:
    from federation.login.discovery import SCOPES

    return frozenset(SCOPES)


def _claims() -> frozenset[str]:
    from federation.login.claims import CLAIMS

    return CLAIMS


def shown_login(login: Any) -> Iterator[tuple[str, str]]:
    """What a relying party is, line by line."""
    yield "profile", login.profile
    for name, values in (
        ("redirect_uri", login.redirect_uris),
        ("post_logout_redirect_uri", login.post_logout_redirect_uris),
        ("backchannel_logout_uri", (login.backchannel_logout_uri,)),
    ):
        yield from ((name, value) for value in values if value)
    yield "scopes", " ".join(sorted(login.scopes))
    if login.claims:
        yield "claims", " ".join(sorted(login.claims))
    if login.sector:
        yield "sector", login.sector
