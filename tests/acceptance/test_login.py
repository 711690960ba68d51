"""The device code flow: every status and body that clients switch on, and the page for the customer."""

from __future__ import annotations

import time

import jwt
import pytest

from conftest import STILL, StartDev
from harness.browser import Browser, decide_in_browser
from harness.dev import Dev
from harness.http import Response
from harness.login import (
    ALL_SCOPES,
    API,
    DEVICE_CODE,
    LOGIN,
    STREAM,
    TOKEN,
    begin,
    claims,
    decide,
    log_in,
    pkce,
    refresh,
    tokens_of,
)

UNKNOWN_CLIENT = "00000000-0000-4000-8000-000000000000"


def refusal(answer: Response) -> tuple[int, str]:
    """Status and error of a refused request."""
    assert answer.json["error_description"]
    return answer.status, answer.json["error"]


def test_a_device_code_has_the_form_that_clients_expect(dev: Dev) -> None:
    fields = begin(dev, dev.first.client_id).answer
    assert len(fields["user_code"]) == 8 and fields["user_code"].isalnum()
    assert fields["verification_uri"] == f"{dev.ready.http_url}/oneid/link"
    assert fields["verification_uri_complete"] == f"{fields['verification_uri']}?user_code={fields['user_code']}"
    assert (fields["expires_in"], fields["interval"]) == (300, 5)


def test_what_clients_leave_out_or_write_otherwise_is_accepted(dev: Dev) -> None:
    # The swagger's example pair, which some clients use for everybody; upper case; no response_type.
    form = {
        "client_id": dev.first.client_id.upper(),
        "scope": f"{STREAM} {LOGIN}",
        "code_challenge": "6xSQkAzH8oEmFMieIfFjAlAsYMS23uhOCXg70Gf13p8",
        "code_challenge_method": "S256",
        "some_extension": "1",
    }
    for _ in range(2):
        answer = dev.http("POST", DEVICE_CODE, form=form)
        assert answer.status == 200, answer.body
        decide(dev, answer.json["user_code"], "approve", dev.first)
        poll = {
            "client_id": dev.first.client_id,
            "device_code": answer.json["device_code"],
            "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
            "code_verifier": "Lc-kVofs3uj2Aj5Yrpd8X8Sa0N6tGmp4VIjflKSbFSQ",
            "scope": "whatever",
        }
        assert dev.http("POST", TOKEN, form=poll).status == 200


def test_a_device_code_request_that_cannot_be_served_is_an_invalid_request(dev: Dev) -> None:
    good = {
        "client_id": dev.first.client_id,
        "response_type": "device_code",
        "scope": ALL_SCOPES,
        "code_challenge": pkce()[1],
        "code_challenge_method": "S256",
    }
    wrong: list[dict[str, str]] = [
        good | {"client_id": UNKNOWN_CLIENT},
        good | {"client_id": "not a UUID"},
        good | {"scope": f"{LOGIN} cardata:streaming:vehicle.isMoving"},
        {name: value for name, value in good.items() if name != "client_id"},
        {name: value for name, value in good.items() if name != "code_challenge"},
    ]
    for form in wrong:
        assert refusal(dev.http("POST", DEVICE_CODE, form=form)) == (400, "invalid_request"), form
    assert dev.http("POST", DEVICE_CODE, body=b"\xff\xfe=%zz").status == 400
    assert dev.http("POST", DEVICE_CODE, form=good).status == 200


def test_a_poll_before_the_customer_has_decided_is_pending_and_a_hasty_one_too_fast(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    assert refusal(login.poll()) == (403, "authorization_pending")
    assert refusal(login.poll()) == (400, "slow_down")


def test_an_approved_code_gives_a_full_set_of_tokens_once(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    login.approve(dev.first)
    answer = login.poll()
    assert answer.status == 200, answer.body
    tokens = tokens_of(answer, dev.first.client_id)
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] in (3599, 3600)
    assert set(tokens.scope.split()) == set(ALL_SCOPES.split())
    assert tokens.gcid == dev.first.gcid
    assert refusal(login.poll()) == (400, "invalid_grant")


def test_a_denied_code_is_refused_for_good(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    decide(dev, login.user_code, "deny", dev.first)
    assert refusal(login.poll()) == (403, "access_denied")


def test_a_code_opens_nothing_without_its_verifier_or_for_another_client(dev: Dev) -> None:
    for changes in (
        {"code_verifier": pkce()[0]},
        {"client_id": dev.second.client_id},
        {"device_code": "never issued"},
    ):
        login = begin(dev, dev.first.client_id)
        login.approve(dev.first)
        assert refusal(login.poll(**changes)) == (400, "invalid_grant"), changes


def test_a_malformed_token_request_is_an_invalid_request(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    status, error = refusal(login.poll(grant_type="password"))
    assert status == 400 and error in ("invalid_request", "unsupported_grant_type")
    assert refusal(dev.http("POST", TOKEN, form={})) == (400, "invalid_request")
    assert refusal(login.poll(client_id=UNKNOWN_CLIENT)) == (401, "invalid_client")


def test_a_customer_cannot_be_asked_for_another_customers_client(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    path = f"/admin/v1/device-codes/{login.user_code}/approve"
    assert dev.admin("POST", path, {"email": dev.second.email}).status >= 400
    assert refusal(login.poll()) == (403, "authorization_pending")


def test_the_operator_learns_what_is_wrong_with_a_decision(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    path = f"/admin/v1/device-codes/{login.user_code}/approve"
    for wrong_path, body in (
        ("/admin/v1/device-codes/nonsense/approve", {"email": dev.first.email}),
        (path, {"email": "nobody@example.com"}),
        (path, {}),
    ):
        answer = dev.admin("POST", wrong_path, body)
        assert 400 <= answer.status < 500 and answer.body, (wrong_path, body)
    without_token = dev.ready.admin_url + path
    for token in (None, "wrong"):
        answer = dev.http("POST", without_token, token=token, json_body={"email": dev.first.email})
        assert answer.status in (401, 403)
    assert refusal(login.poll()) == (403, "authorization_pending")


def test_a_refresh_gives_a_new_set_and_the_old_token_stays_good_for_its_grace(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    fresh = refresh(dev, dev.first.client_id, tokens.refresh)
    assert fresh.status == 200
    new = tokens_of(fresh, dev.first.client_id)
    assert new.refresh != tokens.refresh and new.id and new.gcid == dev.first.gcid
    # A client that lost the answer asks again with the old one.
    again = refresh(dev, dev.first.client_id, tokens.refresh)
    assert again.status == 200
    assert dev.http("GET", "/customers/vehicles/mappings", token=new.access).status == 200


def test_a_profile_as_strict_as_the_real_service_refuses_a_rotated_token(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--profile", "bmw")
    tokens = log_in(dev, dev.first)
    assert refresh(dev, dev.first.client_id, tokens.refresh).status == 200
    status, error = refusal(refresh(dev, dev.first.client_id, tokens.refresh))
    assert status == 400 and error in ("invalid_grant", "invalid_request")


def test_a_refresh_token_works_for_its_own_client_only(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    for client_id, token in (
        (dev.second.client_id, tokens.refresh),
        (dev.first.client_id, "never issued"),
        (dev.first.client_id, tokens.access),
    ):
        status, error = refusal(refresh(dev, client_id, token))
        assert status == 400 and error in ("invalid_grant", "invalid_request")


def test_an_id_token_is_signed_with_a_published_key_and_says_who_and_until_when(dev: Dev) -> None:
    tokens = log_in(dev, dev.first)
    discovery = dev.http("GET", "/.well-known/openid-configuration").json
    keys = dev.http("GET", discovery["jwks_uri"]).json
    kid = jwt.get_unverified_header(tokens.id)["kid"]
    key = jwt.PyJWK(next(key for key in keys["keys"] if key["kid"] == kid))
    told = jwt.decode(
        tokens.id, key, algorithms=["RS256"], audience=dev.first.client_id, issuer=discovery["issuer"]
    )
    assert told["gcid"] == told["sub"] == dev.first.gcid
    assert told["azp"] == dev.first.client_id
    assert isinstance(told["exp"], int) and 3500 < told["exp"] - time.time() < 3700
    assert told["dynamic_scopes"] == [f"read:streaming/*/{dev.first.gcid}.*"]
    assert len(tokens.id) < 4096
    assert all(key.keys() & {"d", "p", "q"} == set() for key in keys["keys"]), "a private key is published"


def test_scopes_are_those_that_were_asked_for(dev: Dev) -> None:
    tokens = log_in(dev, dev.first, f"{LOGIN} {API}")
    assert set(tokens.scope.split()) == set(f"{LOGIN} {API}".split())
    assert "dynamic_scopes" not in claims(tokens.id) or not claims(tokens.id)["dynamic_scopes"]


@pytest.mark.parametrize("path", ["", "?user_code="])
def test_a_customer_who_says_no_on_the_page_is_obeyed(dev: Dev, path: str) -> None:
    login = begin(dev, dev.first.client_id)
    url = login.answer["verification_uri"] + (path + login.user_code if path else "")
    decide_in_browser(
        dev, url, login.user_code, dev.first.email, dev.first.password, ("deny", "refuse", "decline", "reject")
    )
    assert refusal(login.poll()) == (403, "access_denied")


def test_the_page_lets_nobody_through_with_a_wrong_password(dev: Dev) -> None:
    login = begin(dev, dev.first.client_id)
    browser = Browser(dev)
    page = browser.open(login.answer["verification_uri_complete"])
    form = next(form for form in page.forms if form.entry("password", kind="password"))
    values = {}
    for words, kind, value in (
        (("password",), "password", "wrong"),
        (("email",), "email", dev.first.email),
        (("code",), "", login.user_code),
    ):
        if entry := form.entry(*words, kind=kind):
            values[entry.name] = value
    after = browser.submit(page, form, values, form.button("approve", "allow", ""))
    assert any(form.entry("password", kind="password") for form in after.forms), after.text
    assert refusal(login.poll()) == (403, "authorization_pending")


def test_the_page_shows_what_was_typed_as_text_not_as_markup(dev: Dev) -> None:
    page = Browser(dev).open(f"{dev.ready.http_url}/oneid/link?user_code=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert(1)" not in page.html
    assert page.status < 500
