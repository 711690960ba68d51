"""A day's quota of REST requests, as a program meets it; and that it survives the server."""

from __future__ import annotations

import contextlib
import re
import sqlite3

from conftest import STILL, StartDev
from harness.dev import Dev
from harness.http import Response
from harness.login import Tokens, log_in
from harness.wait import wait_for

MAPPINGS = "/customers/vehicles/mappings"


def ask(dev: Dev, tokens: Tokens) -> Response:
    """Asks for what costs one request."""
    return dev.http("GET", MAPPINGS, token=tokens.access)


def left(answer: Response) -> int:
    """How many requests are left, as the answer says."""
    told = re.fullmatch(r'"day";r=(\d+);t=\d+', answer.headers["ratelimit"])
    assert told
    return int(told[1])


def written(dev: Dev) -> int:
    """How many requests the first customer made, as the accounts on the disk say."""
    with contextlib.closing(sqlite3.connect(f"file:{dev.data_dir}/directory.sqlite?mode=ro", uri=True)) as directory:
        query = "SELECT coalesce(sum(requests), 0) FROM requests WHERE gcid = ?"
        (requests,) = directory.execute(query, [dev.first.gcid]).fetchone()
        return int(requests)


def test_who_used_up_the_day_is_told_when_the_next_one_begins(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--requests-per-day", "2")
    tokens = log_in(dev, dev.first)
    assert [left(ask(dev, tokens)) for _ in range(2)] == [1, 0]
    refused = ask(dev, tokens)
    assert (refused.status, refused.json["exveErrorId"]) == (403, "CU-429")
    assert refused.json["exveErrorMsg"] == "API rate limit reached"
    assert 0 < int(refused.headers["retry-after"]) <= 24 * 3600
    assert refused.headers["ratelimit-policy"] == '"day";q=2;w=86400'
    assert ask(dev, log_in(dev, dev.second)).status == 200


def test_neither_a_stop_nor_a_crash_forgets_what_was_counted(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--requests-per-day", "100")
    tokens = log_in(dev, dev.first)
    before = [left(ask(dev, tokens)) for _ in range(5)]
    dev.stop()
    dev.start()
    assert left(ask(dev, tokens)) == before[-1] - 1

    used = 100 - left(ask(dev, tokens))
    wait_for(lambda: written(dev) == used, "the count to be written")
    dev.kill()
    dev.start()
    assert left(ask(dev, tokens)) == 100 - used - 1
