"""Starts servers for the tests and ends them again, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.dev import BINARY, Dev
from harness.silence import Silence

# Nothing drives by itself: what arrives is what a test put in.
STILL = ("--vehicles", "0")

StartDev = Callable[..., Dev]


def pytest_configure() -> None:
    if not BINARY.exists():
        raise pytest.UsageError(f"{BINARY} is missing: run ./scripts/test, or cargo build first")


@pytest.fixture
def start_dev(tmp_path: Path) -> Iterator[StartDev]:
    """Starts `cardata dev` with the flags given; as often as wanted, each in a folder of its own."""
    with starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartDev]:
    """The same for servers that the tests of a module share."""
    with starting(tmp_path_factory.mktemp("shared")) as start:
        yield start


@contextmanager
def starting(under: Path) -> Iterator[StartDev]:
    """Starts servers in folders of their own `under` that folder, and ends them."""
    started: list[Dev] = []

    def start(*flags: str) -> Dev:
        # Paths with a space and an apostrophe are as good as any.
        folder = under / f"anna's dev {len(started)}"
        folder.mkdir()
        dev = Dev(folder, *flags)
        started.append(dev)
        return dev.start()

    try:
        yield start
    finally:
        for dev in started:
            dev.close()
    for dev in started:
        assert "panicked at" not in dev.stderr, dev.stderr[-4000:]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # What takes long by itself begins with the first test, and the last ones look at it.
    items.sort(key=lambda item: item.get_closest_marker("looked_at_last") is not None)


@pytest.fixture(scope="session", autouse=True)
def silence(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Silence | None]:
    """Two connections under the profile `bmw`, from the first test on; `None` when no test asks for them."""
    if not is_wanted("silence", request):
        yield None
        return
    with starting(tmp_path_factory.mktemp("silence")) as start:
        yield Silence(start(*STILL, "--profile", "bmw"))


@pytest.fixture(scope="session", autouse=True)
def month(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev | None]:
    """A server whose vehicles live through a month in four minutes and a half, from the first test on; `None` when no
    test asks for it."""
    if not is_wanted("month", request):
        yield None
        return
    with starting(tmp_path_factory.mktemp("month")) as start:
        yield start("--speed", "10000")


def is_wanted(fixture: str, request: pytest.FixtureRequest) -> bool:
    """Whether a test looks at it."""
    markers = [item.get_closest_marker("looked_at_last") for item in request.session.items]
    return any(marker is not None and fixture in marker.args for marker in markers)


@pytest.fixture
def dev(start_dev: StartDev) -> Dev:
    """A server in which nothing drives by itself."""
    return start_dev(*STILL)
