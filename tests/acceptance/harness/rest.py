"""The REST API as tests use it, one function for each call."""

from __future__ import annotations

from typing import Any

from harness.dev import Dev
from harness.http import Response
from harness.login import Tokens

CONTAINERS = "/customers/containers"


def create_container(dev: Dev, tokens: Tokens, *descriptors: str, name: str = "acceptance") -> str:
    """Registers a container and gives its id."""
    answer = try_to_create(dev, tokens, list(descriptors), name)
    assert answer.status == 201, f"{answer.status}: {answer.body!r}"
    container_id: str = answer.json["containerId"]
    return container_id


def try_to_create(
    dev: Dev, tokens: Tokens, descriptors: list[str], name: str = "acceptance"
) -> Response:
    """Asks for a container; the answer may be a refusal."""
    body = {"name": name, "purpose": "acceptance test", "technicalDescriptors": descriptors}
    return dev.http("POST", CONTAINERS, token=tokens.access, json_body=body)


def delete_container(dev: Dev, tokens: Tokens, container_id: str) -> None:
    """Deletes a container."""
    answer = dev.http("DELETE", f"{CONTAINERS}/{container_id}", token=tokens.access)
    assert (answer.status, answer.body) == (204, b"")


def telematic_data(dev: Dev, tokens: Tokens, vin: str, container_id: str) -> dict[str, Any]:
    """The latest values of a container's descriptors."""
    path = f"/customers/vehicles/{vin}/telematicData?containerId={container_id}"
    answer = dev.http("GET", path, token=tokens.access)
    assert answer.status == 200, f"{answer.status}: {answer.body!r}"
    data: dict[str, Any] = answer.json["telematicData"]
    return data
