"""A browser as far as the pages need one: cookies, redirects, links and forms, no scripts."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin

from harness.dev import Dev


@dataclass
class Field:
    """An input or button of a form."""

    kind: str
    name: str
    value: str
    label: str = ""


@dataclass
class Form:
    """A form with the fields that it has."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)

    def entry(self, *words: str, kind: str = "") -> Field | None:
        """The first field to fill in that is of `kind` or has one of `words` in its name."""
        entries = [one for one in self.fields if one.kind not in ("hidden", "submit", "button")]
        return _first(entries, lambda one: one.kind == kind or _has(one.name, words))

    def button(self, *words: str) -> Field | None:
        """The first button with one of `words` on it or in its value."""
        buttons = [one for one in self.fields if one.kind == "submit"]
        return _first(buttons, lambda one: _has(f"{one.label} {one.value}", words))


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(word in text.lower() for word in words)


def _first(fields: list[Field], wanted: Callable[[Field], bool]) -> Field | None:
    return next(filter(wanted, fields), None)


@dataclass
class Page:
    """A page as it was shown."""

    url: str
    status: int
    html: str
    text: str
    forms: list[Form]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.words: list[str] = []
        self._form: Form | None = None
        self._button: Field | None = None
        self._hidden = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in ("script", "style"):
            self._hidden += 1
        elif tag == "form":
            self._form = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is not None and tag in ("input", "button"):
            kind = given.get("type", "text" if tag == "input" else "submit").lower()
            one = Field(kind, given.get("name", ""), given.get("value", ""))
            self._form.fields.append(one)
            self._button = one if tag == "button" else None

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden -= 1
        elif tag == "form":
            self._form = None
        elif tag == "button":
            self._button = None

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.words.append(data)
        if self._button is not None:
            self._button.label += data


class Browser:
    """Opens pages and sends their forms as a person would."""

    def __init__(self, dev: Dev) -> None:
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=dev.tls()),
            urllib.request.HTTPCookieProcessor(CookieJar()),
        )

    def open(self, url: str) -> Page:
        """Goes to an address."""
        return self._go(urllib.request.Request(url))

    def submit(self, page: Page, form: Form, values: dict[str, str], button: Field | None = None) -> Page:
        """Fills a form in and presses a button; hidden fields go along, as they do."""
        filled = {
            one.name: one.value for one in form.fields if one.name and one.kind not in ("submit", "button")
        }
        filled |= values
        if button is not None and button.name:
            filled[button.name] = button.value
        url = urljoin(page.url, form.action)
        encoded = urlencode(filled)
        if form.method == "get":
            return self._go(urllib.request.Request(f"{url.split('?')[0]}?{encoded}"))
        # Browsers tell where a form was sent from.
        origin = "/".join(page.url.split("/")[:3])
        headers = {"Origin": origin, "Referer": page.url}
        return self._go(urllib.request.Request(url, encoded.encode(), headers))

    def _go(self, wanted: urllib.request.Request) -> Page:
        wanted.add_header("Accept", "text/html")
        try:
            with self._opener.open(wanted, timeout=20) as answer:
                return _page(answer.url, answer.status, answer.read().decode())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return _page(refusal.url or wanted.full_url, refusal.code, refusal.read().decode())


def _page(url: str, status: int, html: str) -> Page:
    reader = _Reader()
    reader.feed(html)
    return Page(url, status, html, " ".join("".join(reader.words).split()), reader.forms)


def decide_in_browser(
    dev: Dev, url: str, user_code: str, email: str, password: str, decision: tuple[str, ...]
) -> tuple[Page, Page]:
    """Walks from `url` through log-in and code to the question, and answers it with the button named by `decision`.

    Gives the page that asked and the page that confirmed.
    """
    browser = Browser(dev)
    page = browser.open(url)
    for _ in range(6):
        assert page.status == 200, f"{page.status}: {page.text}"
        assert page.forms, f"no form to go on with: {page.text}"
        for form in page.forms:
            values = {}
            if secret := form.entry("password", kind="password"):
                values[secret.name] = password
            if name := form.entry("email", "user_name", "username", kind="email"):
                values[name.name] = email
            if code := form.entry("code"):
                values[code.name] = user_code
            if button := form.button(*decision):
                return page, browser.submit(page, form, values, button)
            if values or form is page.forms[-1]:
                page = browser.submit(page, form, values, form.button(""))
                break
    raise AssertionError(f"six pages and no question: {page.text}")
