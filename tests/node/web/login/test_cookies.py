"""The cookies of a login: their names, their attributes, and what is taken from them."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from federation.login.steps import Visitor
from node.web.login.cookies import LoginCookies, new_secret

HTTPS = LoginCookies("340000", "https://node.ah.example", 3600)
PLAIN = LoginCookies("340000", "http://127.0.0.1:8340", 3600)


def set_by(cookies: LoginCookies, kind: str) -> str:
    response = web.Response()
    keep = {
        "browser": lambda: cookies.keep_browser(response, "b"),
        "session": lambda: cookies.keep_session(response, "s"),
        "home": lambda: cookies.keep_province(response, "320000"),
        "lang": lambda: cookies.keep_language(response, "en"),
    }
    keep[kind]()
    (morsel,) = response.cookies.values()
    return morsel.OutputString()


@pytest.mark.parametrize("kind", ["browser", "session", "home", "lang"])
def test_no_script_and_no_other_site_gets_them(kind: str) -> None:
    said = set_by(HTTPS, kind)
    assert said.startswith(f"__Host-yrd-340000-{kind}=")
    assert "HttpOnly" in said
    assert "Secure" in said
    assert "SameSite=Lax" in said
    assert "Path=/" in said
    assert "Domain" not in said


def test_on_plain_http_on_loopback_they_have_plain_names() -> None:
    said = set_by(PLAIN, "session")
    assert said.startswith("yrd-340000-session=")
    assert "Secure" not in said


@pytest.mark.parametrize(("kind", "lives"), [("browser", False), ("session", False), ("home", True)])
def test_those_of_a_login_end_with_the_browser(kind: str, lives: bool) -> None:
    assert ("Max-Age" in set_by(HTTPS, kind)) is lives


def test_dropping_one_ends_it() -> None:
    response = web.Response()
    HTTPS.drop_session(response)
    HTTPS.keep_province(response, "")
    assert all("Max-Age=0" in morsel.OutputString() for morsel in response.cookies.values())


def visitor(**said: str) -> Visitor:
    cookies = "; ".join(f"{PLAIN.name(kind)}={value}" for kind, value in said.items())
    return PLAIN.visitor(make_mocked_request("GET", "/", headers={"Cookie": cookies}))


def test_what_they_say_is_read() -> None:
    browser, session = new_secret(), new_secret()
    assert visitor(browser=browser, session=session, home="320000") == Visitor(
        browser=browser, session=session, province="320000"
    )


@pytest.mark.parametrize("value", ["", "short", "x" * 44, "a b" + "x" * 40, "<script>" + "x" * 35])
def test_what_this_node_did_not_set_is_nothing(value: str) -> None:
    assert visitor(browser=value, session=value, home=value) == Visitor()


@pytest.mark.parametrize(("proxies", "sender"), [(0, ""), (1, "192.0.2.7"), (2, "198.51.100.9")])
def test_where_a_visitor_comes_from_is_the_proxies_word(proxies: int, sender: str) -> None:
    cookies = LoginCookies("340000", "https://node.ah.example", 3600, proxies)
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-For": "198.51.100.9, 192.0.2.7"})
    assert cookies.visitor(request).sender == sender


@pytest.mark.parametrize(("said", "language"), [("en", "en"), ("zh", "zh"), ("fr", ""), ("", "")])
def test_a_language_is_one_of_two(said: str, language: str) -> None:
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{PLAIN.name('lang')}={said}"})
    assert PLAIN.language(request) == language


def test_cookies_of_another_node_are_none_of_ours() -> None:
    other = LoginCookies("320000", "http://127.0.0.1:8320", 3600)
    secret = new_secret()
    request = make_mocked_request("GET", "/", headers={"Cookie": f"{other.name('session')}={secret}"})
    assert PLAIN.visitor(request) == Visitor()
