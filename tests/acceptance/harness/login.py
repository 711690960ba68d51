"""The device code flow, step by step, for tests that look at the steps or just need tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

from harness.dev import Customer, Dev
from harness.http import Response

DEVICE_CODE = "/gcdm/oauth/device/code"
TOKEN = "/gcdm/oauth/token"
GRANT_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"

LOGIN = "authenticate_user openid"
API = "cardata:api:read"
STREAM = "cardata:streaming:read"
ALL_SCOPES = f"{LOGIN} {API} {STREAM}"


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint gave."""

    gcid: str
    client_id: str
    access: str
    id: str
    refresh: str
    scope: str


@dataclass(frozen=True)
class DeviceLogin:
    """A login that was begun at the device and waits for the customer."""

    dev: Dev
    client_id: str
    verifier: str
    user_code: str
    device_code: str
    answer: dict[str, Any]

    def poll(self, **changes: str) -> Response:
        """Asks for tokens once."""
        form = {
            "client_id": self.client_id,
            "device_code": self.device_code,
            "grant_type": GRANT_DEVICE,
            "code_verifier": self.verifier,
        }
        return self.dev.http("POST", TOKEN, form={**form, **changes})

    def approve(self, customer: Customer) -> None:
        """Approves as the operator, in the customer's name."""
        decide(self.dev, self.user_code, "approve", customer)


def decide(dev: Dev, user_code: str, decision: str, customer: Customer) -> None:
    """Approves or denies a user code through the operator's door."""
    path = f"/admin/v1/device-codes/{user_code}/{decision}"
    answer = dev.admin("POST", path, {"email": customer.email})
    assert answer.status in (200, 204), f"{decision}: {answer.status} {answer.body!r}"


def pkce() -> tuple[str, str]:
    """A verifier and its S256 challenge (RFC 7636)."""
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def begin(dev: Dev, client_id: str, scope: str = ALL_SCOPES) -> DeviceLogin:
    """Asks for a device code."""
    verifier, challenge = pkce()
    form = {
        "client_id": client_id,
        "response_type": "device_code",
        "scope": scope,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    answer = dev.http("POST", DEVICE_CODE, form=form)
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    fields = answer.json
    return DeviceLogin(dev, client_id, verifier, fields["user_code"], fields["device_code"], fields)


def log_in(
    dev: Dev, customer: Customer, scope: str = ALL_SCOPES, client_id: str | None = None
) -> Tokens:
    """Tokens for a customer, by the customer's own client unless told otherwise."""
    login = begin(dev, client_id or customer.client_id, scope)
    login.approve(customer)
    answer = login.poll()
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    return tokens_of(answer, login.client_id)


def register_client(dev: Dev, customer: Customer, name: str = "second client") -> str:
    """A further personal client of a customer, subscribed to both services; gives its id."""
    answer = dev.admin("POST", "/admin/v1/clients", {"email": customer.email, "name": name})
    assert answer.status in (200, 201), f"{answer.status}: {answer.body!r}"
    client_id: str = answer.json["client_id"]
    return client_id


def refresh(dev: Dev, client_id: str, token: str) -> Response:
    """Exchanges a refresh token."""
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": token}
    return dev.http("POST", TOKEN, form=form)


def tokens_of(answer: Response, client_id: str) -> Tokens:
    """Reads a token response."""
    fields = answer.json
    return Tokens(
        gcid=fields["gcid"],
        client_id=client_id,
        access=fields["access_token"],
        id=fields.get("id_token", ""),
        refresh=fields["refresh_token"],
        scope=fields["scope"],
    )


def claims(id_token: str) -> dict[str, Any]:
    """What an id token says, unverified, as clients read it."""
    payload = id_token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return decoded
