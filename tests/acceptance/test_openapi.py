"""The published description of the API, held against the live server by schemathesis with a real token."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from conftest import STILL, StartDev
from harness.descriptors import SOC
from harness.dev import Dev
from harness.events import at
from harness.login import log_in
from harness.rest import create_container

# What a request may be answered: no fault of the server's, no status or form that is not described, no door that opens
# without a token.
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "ignored_auth",
        "use_after_free",
    ]
)
PUBLISHED = Path(__file__).parents[2] / "docs" / "reference" / "openapi.json"


def token_of_a_client(dev: Dev) -> str:
    """A token with which a third party's client asks about itself."""
    client = dev.admin("POST", "/admin/v1/clients", {"name": "Fleet view", "confidential": True}).json
    form = {"client_id": client["client_id"], "client_secret": client["client_secret"]}
    answer = dev.http("POST", "/gcdm/oauth/token", form=form | {"grant_type": "client_credentials"})
    token: str = answer.json["access_token"]
    return token


def test_the_server_answers_as_its_description_says(start_dev: StartDev, tmp_path: Path) -> None:
    dev = start_dev(*STILL, "--requests-per-day", "0")
    served = dev.http("GET", "/docs/openapi.json")
    description = served.json
    assert description == json.loads(PUBLISHED.read_text())
    tokens = log_in(dev, dev.first)
    container_id = create_container(dev, tokens, SOC)
    # Most of what is drawn at random names no vehicle; these are the caller's own.
    for path, item in description["paths"].items():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["name"] == "vin":
                    parameter["example"] = dev.first.vin
                if parameter["name"] == "containerId":
                    parameter["example"] = container_id
                if parameter["name"] in ("from", "to"):
                    parameter["example"] = at(-86400 if parameter["name"] == "from" else 86400)
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(description))

    for paths, token, examples in (
        # Not the stream of events, which has no end.
        ("^/(customers|gcdm)/|^/v2/(latest|vehicles)", tokens.access, 40),
        ("^/v2/consents", token_of_a_client(dev), 20),
        ("^/ingest/", dev.ready.admin_token, 40),
    ):
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(described), "--url", dev.ready.http_url]
        command += ["--header", f"Authorization: Bearer {token}", "--tls-verify", dev.ready.ca_file]
        command += ["--include-path-regex", paths, "--checks", CHECKS, "--seed", "1", "--warnings", "off"]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", str(examples)]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert ended.returncode == 0, ended.stdout[-8000:] + ended.stderr[-2000:]
    assert dev.http("GET", "/customers/vehicles/mappings", token=tokens.access).status == 200
