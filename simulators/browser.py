"""A browser without JavaScript, for logins that are walked by a program: it follows redirects and fills forms.

Cookies are kept per host and port, as if each were a site of its own, which in a real country they are; so a form that
leads from one to another brings no cookie that says SameSite=Lax, and a link brings none that says Strict. A redirect
that a page's `form-action` does not allow is an error, as Chromium has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import Morsel, SimpleCookie
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

__all__ = ["BlockedError", "Form", "LoginBrowser", "Page"]

_MOST_REDIRECTS = 20
_REDIRECTS = (301, 302, 303, 307, 308)


class BlockedError(AssertionError):
    """A browser would not have gone there."""


@dataclass(slots=True)
class Form:
    """A form: its fields with what they hold, and the buttons that may be pressed, as (name, value)."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    boxes: dict[str, str] = field(default_factory=dict)
    """Boxes and radio buttons that are not ticked, with the value that they would send (the last of a name)."""
    choices: dict[str, list[str]] = field(default_factory=dict)
    """What may be chosen, by the name of the select or of the radio buttons."""
    buttons: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Page:
    """Where the browser is. `visited` are all addresses on the way here, this one last."""

    url: str
    status: int
    headers: Mapping[str, str]
    html: str
    title: str
    text: str
    forms: tuple[Form, ...]
    links: tuple[tuple[str, str], ...]
    """(address, text)."""
    facts: tuple[tuple[str, str], ...]
    """(term, description) of definition lists."""
    visited: tuple[str, ...]

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return _origin(self.url)

    def form(self, part: str = "") -> Form:
        """The first form whose address or buttons have `part` in them."""
        for form in self.forms:
            if part in form.action or any(part in (name, value) for name, value in form.buttons):
                return form
        raise AssertionError(f"no form with {part!r} on {self.url} ({self.status}): {self.text[:500]}")

    def link(self, part: str) -> str:
        """The address of the first link with `part` in its address or text."""
        for address, text in self.links:
            if part in address or part in text:
                return address
        raise AssertionError(f"no link with {part!r} on {self.url} ({self.status}): {self.text[:500]}")


class LoginBrowser:
    """One citizen's browser. It reaches nothing but HTTP, so what needs a script does not work in it."""

    def __init__(self, http: aiohttp.ClientSession, *, language: str = "zh-CN,zh;q=0.9") -> None:
        self._http = http
        self._headers = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": language}
        self._cookies: dict[str, dict[str, Morsel[str]]] = {}
        self._page: Page | None = None
        self.visited: list[str] = []
        """Every address, from the first."""

    @property
    def page(self) -> Page:
        """Where it is."""
        assert self._page is not None, "nothing was opened"
        return self._page

    def cookies(self, origin: str) -> dict[str, str]:
        """The cookies of an origin."""
        return {name: morsel.value for name, morsel in self._cookies.get(origin, {}).items()}

    def set_cookie(self, origin: str, name: str, value: str) -> None:
        """Plant a cookie, as an attacker on a neighbouring host may."""
        morsel: Morsel[str] = Morsel()
        morsel.set(name, value, value)
        self._cookies.setdefault(origin, {})[name] = morsel

    def forget(self, origin: str) -> None:
        """Drop an origin's cookies."""
        self._cookies.pop(origin, None)

    async def open(self, url: str) -> Page:
        """Type an address."""
        return await self._go("GET", url, {}, initiator="")

    async def follow(self, part: str) -> Page:
        """Press the link with `part` in its address or text."""
        return await self._go("GET", urljoin(self.page.url, self.page.link(part)), {}, self.page.origin)

    async def submit(
        self,
        part: str = "",
        fields: Mapping[str, str] = MappingProxyType({}),
        *,
        button: str = "",
        page: Page | None = None,
    ) -> Page:
        """Send the form with `part` in its address or buttons, of this page or of an older one (another tab).

        `fields` are filled in, boxes among them ticked with any value; an empty value empties a field. `button` is the
        name or value of the one that is pressed, else the form's first.
        """
        page = page or self.page
        form = page.form(part)
        unknown = fields.keys() - form.fields.keys() - form.boxes.keys() - form.choices.keys()
        assert not unknown, f"no fields {unknown} in the form {form.action} of {page.url}: {form.fields}"
        filled = form.fields | {
            name: form.boxes[name] if name in form.boxes and name not in form.choices else value
            for name, value in fields.items()
        }
        pressed = [one for one in form.buttons if button in one] or ([] if button else form.buttons)
        assert pressed or not button, f"no button {button!r} in {form.buttons} on {page.url}"
        filled |= dict(one for one in pressed[:1] if one[0])
        target = urljoin(page.url, form.action)
        self._allow_form(page, target)
        return await self._go(form.method, target, filled, page.origin, page)

    async def _go(
        self, method: str, url: str, fields: Mapping[str, str], initiator: str, form_page: Page | None = None
    ) -> Page:
        visited: list[str] = []
        if method == "GET" and fields:
            url, fields = str(URL(url).with_query(dict(fields))), {}
        for _ in range(_MOST_REDIRECTS):
            url, _, _ = url.partition("#")
            visited.append(url)
            self.visited.append(url)
            status, answered, html = await self.request(method, url, fields, initiator)
            if status not in _REDIRECTS:
                self._page = _read(url, status, answered, html, tuple(visited))
                return self._page
            url = urljoin(url, answered["Location"])
            if status not in (307, 308):
                method, fields = "GET", {}
            if form_page is not None:
                self._allow_form(form_page, url)
        raise AssertionError(f"redirected in circles: {visited}")

    async def request(
        self, method: str, url: str, fields: Mapping[str, str], initiator: str
    ) -> tuple[int, Mapping[str, str], str]:
        """One request with this browser's cookies: status, headers and text. Raises aiohttp.ClientError."""
        sent = self._sent_cookies(method, url, initiator)
        headers = {**self._headers, **({"Cookie": sent} if sent else {})}
        if method == "POST" and initiator:
            headers["Origin"] = initiator
        data = dict(fields) if method == "POST" else None
        target = URL(url, encoded=True)
        async with self._http.request(
            method, target, data=data, headers=headers, allow_redirects=False
        ) as answer:
            self._take_cookies(url, answer)
            return answer.status, dict(answer.headers), await answer.text(errors="replace")

    def _allow_form(self, page: Page, target: str) -> None:
        """CSP `form-action`, for the form's address and each redirect after it."""
        rules = [
            part.split()[1:]
            for part in page.headers.get("Content-Security-Policy", "").split(";")
            if part.split()[:1] == ["form-action"]
        ]
        for allowed in rules:
            if not any(_is_source_of(source, page.origin, target) for source in allowed):
                raise BlockedError(f"form-action {allowed} of {page.url} does not allow {target}")

    def _sent_cookies(self, method: str, url: str, initiator: str) -> str:
        origin, path = _origin(url), urlsplit(url).path or "/"
        foreign = initiator not in ("", origin)
        sent = []
        for name, morsel in self._cookies.get(origin, {}).items():
            rule = (morsel["samesite"] or "Lax").lower()
            if foreign and (rule == "strict" or (rule == "lax" and method != "GET")):
                continue
            if path.startswith(morsel["path"] or "/"):
                sent.append(f"{name}={morsel.value}")
        return "; ".join(sent)

    def _take_cookies(self, url: str, answer: aiohttp.ClientResponse) -> None:
        kept = self._cookies.setdefault(_origin(url), {})
        for line in answer.headers.getall("Set-Cookie", ()):
            for name, morsel in SimpleCookie(line).items():
                if morsel["max-age"] == "0" or not morsel.value:
                    kept.pop(name, None)
                else:
                    kept[name] = morsel


def _is_source_of(source: str, own: str, target: str) -> bool:
    """Whether a source of a Content-Security-Policy (§6.7.2.8 of CSP 3) allows an address."""
    origin = _origin(target)
    if source.endswith(":*"):
        return origin.rpartition(":")[0] == source[:-2]
    return source in ("*", f"{urlsplit(target).scheme}:", origin) or (source == "'self'" and origin == own)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _read(url: str, status: int, headers: Mapping[str, str], html: str, visited: tuple[str, ...]) -> Page:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Page(
        url=url,
        status=status,
        headers=headers,
        html=html,
        title=" ".join(reader.title.split()),
        text=" ".join(" ".join(reader.words).split()),
        forms=tuple(reader.forms),
        links=tuple((address, " ".join(text.split())) for address, text in reader.links),
        facts=tuple((" ".join(term.split()), " ".join(text.split())) for term, text in reader.facts),
        visited=visited,
    )


class _Reader(HTMLParser):
    """Title, words, links and forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.words: list[str] = []
        self.links: list[tuple[str, str]] = []
        self.facts: list[tuple[str, str]] = []
        self.forms: list[Form] = []
        self._by_id: dict[str, Form] = {}
        self._inside: list[str] = []
        self._form: Form | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        flags = {name for name, _ in attrs}
        if tag in ("title", "script", "style"):
            self._inside.append(tag)
        elif tag == "a" and "href" in said:
            self.links.append((said["href"], ""))
            self._inside.append(tag)
        elif tag in ("dt", "dd"):
            self._inside.append(tag)
            if tag == "dt":
                self.facts.append(("", ""))
        elif tag == "form":
            self._form = Form(said.get("action", ""), said.get("method", "get").upper())
            self.forms.append(self._form)
            self._by_id[said.get("id", "")] = self._form
        form = self._by_id.get(said["form"]) if "form" in said else self._form
        if form is not None and "disabled" not in flags:
            self._read_control(form, tag, said, flags)

    def _read_control(self, form: Form, tag: str, said: dict[str, str], flags: set[str]) -> None:
        name, kind = said.get("name", ""), said.get("type", "text").lower()
        if tag == "button" or (tag == "input" and kind == "submit"):
            if said.get("type", "submit").lower() == "submit":
                form.buttons.append((name, said.get("value", "")))
        elif tag == "select":
            self._select = name
            form.choices[name] = []
        elif tag == "option" and self._select:
            form.choices[self._select].append(said.get("value", ""))
            if "selected" in flags or self._select not in form.fields:
                form.fields[self._select] = said.get("value", "")
        elif tag == "input" and name and kind in ("checkbox", "radio"):
            value = said.get("value", "on")
            if kind == "radio":
                form.choices.setdefault(name, []).append(value)
            if "checked" in flags:
                form.fields[name] = value
            else:
                form.boxes[name] = value
        elif tag in ("input", "textarea") and name and kind not in ("button", "reset", "image"):
            form.fields[name] = said.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        if tag == "select":
            self._select = ""
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        if "title" in self._inside:
            self.title += data
        elif not {"script", "style"} & set(self._inside):
            self.words.append(data)
            self._add_to_last(data)

    def _add_to_last(self, data: str) -> None:
        """To the link and the term or description that is open."""
        if "a" in self._inside:
            address, text = self.links[-1]
            self.links[-1] = (address, text + data)
        if self.facts and {"dt", "dd"} & set(self._inside):
            term, text = self.facts[-1]
            self.facts[-1] = (term, text + data) if "dd" in self._inside else (term + data, text)
