"""A browser as far as the pages need one: cookies, redirects, links and forms, no scripts."""

from __future__ import annotations

import urllib.error
import urllib.request
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

    def named(self, *words: str, kinds: tuple[str, ...] = ()) -> Field | None:
        """The first field of one of `kinds`, or with one of `words` in its name, value or label."""
        for one in self.fields:
            described = f"{one.name} {one.value} {one.label}".lower()
            if one.kind in kinds or (one.kind != "hidden" and any(word in described for word in words)):
                return one
        return None


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
