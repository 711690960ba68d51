"""`cardata bench`: each verb in small against a real server, and what it says when there is nothing to measure."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from conftest import STILL, StartDev
from harness.dev import BINARY, Dev, environment, run
from harness.wait import wait_for


def bench(dev: Dev, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a verb to its end."""
    return run("bench", *arguments, "--ready-file", str(dev.ready_file))


def measured(dev: Dev, *arguments: str) -> dict[str, Any]:
    """The figures of a verb that must succeed."""
    ended = bench(dev, *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def counter(dev: Dev, row: str) -> int:
    """A row of the server's metrics; a missing one is zero."""
    metrics = dev.http("GET", dev.ready.admin_url + "/metrics").body.decode()
    values = [line.removeprefix(row) for line in metrics.splitlines() if line.startswith(row + " ")]
    return int(values[0]) if values else 0


def test_idle_connections_are_opened_measured_and_closed(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    figures = measured(dev, "idle", "--connections", "20")
    assert (figures["connections"], figures["warm_up"]) == (20, 2)
    assert figures["process"]["pid"] == dev.pid
    assert figures["before"]["rss_kib"] > 1000 and figures["connects_per_second"] > 0
    assert counter(dev, 'cardata_mqtt_connects_total{outcome="accepted"}') == 22
    wait_for(lambda: counter(dev, 'cardata_mqtt_closed_total{reason="disconnected"}') == 22, "the clients' end")

    table = bench(dev, "idle", "--connections", "20", "--cpu", "0")
    assert table.returncode == 0, table.stderr
    assert "20 idle TLS connections" in table.stdout and "for each" in table.stdout


def test_sessions_are_left_behind_and_found_again_by_a_server_that_was_started_anew(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "40", "--sessions-per-client", "30")
    first = dev.pid
    command = ["bench", "sessions", "--count", "20", "--restart-within", "60", "--json"]
    command += ["--ready-file", str(dev.ready_file)]
    running = subprocess.Popen(
        [str(BINARY), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        # Each session is made by a connection, and each is taken up again once.
        made_and_resumed = 2 * (2 + 20)
        wait_for(
            lambda: counter(dev, 'cardata_mqtt_closed_total{reason="disconnected"}') == made_and_resumed,
            "the sessions",
            seconds=60,
        )
        dev.stop()
        dev.start()
        output, errors = running.communicate(timeout=60)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 0, errors
    figures = json.loads(output)
    assert figures["process"]["pid"] == first
    assert figures["restarted"]["process"]["pid"] == dev.pid != first
    assert figures["restarted"]["memory"]["rss_kib"] > 1000


def test_latency_is_told_with_and_without_slow_readers_and_nothing_is_lost(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    arguments = ["--clients", "5", "--slow", "4", "--rate", "50", "--seconds", "2", "--rounds", "1"]
    figures = measured(dev, "latency", *arguments)
    assert [entry["slow_readers"] for entry in figures["rounds"]] == [0, 4]
    for entry in figures["rounds"]:
        latency = entry["latency"]
        assert latency["messages"] == 5 * entry["events"] == 500
        assert 0 < latency["p50_us"] <= latency["p99_us"] <= latency["max_us"]
        assert (entry["lost"], entry["slow_lost"], entry["duplicates"]) == (0, 0, 0)
    # Two of the four read with QoS 0, and so little that the server merged what they did not read.
    assert [entry["merged_events"] > 0 for entry in figures["rounds"]] == [False, True]
    assert figures["lost"] == 0 and figures["verdict"]["noise_us"] == 0
    containers = run("container", "list", "--ready-file", str(dev.ready_file))
    assert "cardata bench" not in containers.stdout, "the container of the measurement is still there"


def test_sessions_that_resume_get_all_that_they_missed_while_latency_is_measured(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    arguments = ["--clients", "5", "--resuming", "8", "--backlog", "1000", "--rate", "50", "--seconds", "1", "--rounds", "1"]
    figures = measured(dev, "latency", *arguments)
    without, with_replay = figures["rounds"]
    assert without["replay"] is None
    replay = with_replay["replay"]
    assert (replay["sessions"], replay["events"]) == (8, 8 * with_replay["flood"]) and with_replay["flood"] >= 1000
    assert (replay["lost"], replay["duplicates"]) == (0, 0)
    assert replay["seconds"] > 0 and replay["events_per_second"] > 0
    for entry in figures["rounds"]:
        latency = entry["latency"]
        # The sessions read the measured events as well, but late, and don't count.
        assert latency["messages"] == 5 * entry["events"] == 250
        assert 0 < latency["p50_us"] <= latency["p99_us"] <= latency["max_us"]
        assert (entry["lost"], entry["slow_lost"], entry["duplicates"]) == (0, 0, 0)
    assert figures["lost"] == 0 and figures["verdict"]["p99_with_us"] > 0

    table = bench(dev, "latency", *arguments)
    assert table.returncode == 0, table.stderr
    assert "each session that resumed had missed 1,000 events" in table.stdout, table.stdout
    for wrong in (["--slow", "1", "--resuming", "1"], ["--backlog", "5"]):
        assert bench(dev, "latency", *wrong).returncode == 2, wrong


def test_clients_connect_and_leave_again_as_often_as_it_goes(start_dev: StartDev) -> None:
    dev = start_dev(*STILL)
    figures = measured(dev, "connect", "--connections", "40", "--at-once", "4")
    assert (figures["connections"], figures["at_once"]) == (40, 4)
    assert figures["process"]["pid"] == dev.pid
    assert figures["connects_per_second"] > 0 and 0 < figures["p50_us"] <= figures["p99_us"]
    assert figures["server_cpu_us_each"] > 0 and 0 < figures["generator_cpu_share"] <= 1.1
    # 50 more come before those that count.
    assert counter(dev, 'cardata_mqtt_connects_total{outcome="accepted"}') == 90
    table = bench(dev, "connect", "--connections", "4", "--cpu", "0")
    assert table.returncode == 0, table.stderr
    assert "4 connections to localhost" in table.stdout and "of the server's processor time each" in table.stdout
    wrong = bench(dev, "connect", "--connections", "4", "--cpu", "1000")
    assert wrong.returncode == 1 and "processor 1000" in wrong.stderr, wrong.stderr


def test_one_vehicles_events_reach_all_readers_whatever_each_may_see(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    short = ["--seconds", "1", "--rounds", "1"]
    figures = measured(dev, "fanout", "--subscribers", "10", "--qos", "1", *short)
    (turn,) = figures["rounds"]
    assert turn["messages"] == 10 * turn["events"] > 0 and turn["messages_per_second"] > 0
    assert (figures["window"], figures["rate"], figures["vehicles"], figures["readers"]) == (8, None, 1, 10)
    assert (figures["lost"], turn["duplicates"]) == (0, 0)
    assert 0 < turn["p50_us"] <= turn["p99_us"] <= turn["max_us"] and turn["server_cpu_us_each"] > 0
    assert counter(dev, 'cardata_mqtt_messages_total{qos="1"}') >= turn["messages"]

    # Each selection has a client of its own, which is gone afterwards, and so are its containers.
    figures = measured(dev, "fanout", "--subscribers", "6", "--entitlements", "3", "--rate", "50", *short)
    (turn,) = figures["rounds"]
    assert (turn["events"], turn["messages"], figures["lost"]) == (50, 300, 0)
    assert (figures["window"], figures["rate"], figures["entitlements"]) == (None, 50, 3)
    clients = dev.http("GET", dev.ready.admin_url + "/admin/v1/clients", token=dev.ready.admin_token).json["clients"]
    left = [client for client in clients if client["name"] == "cardata bench" and client["deleted_at"] is None]
    assert left == []
    assert "cardata bench" not in run("container", "list", "--ready-file", str(dev.ready_file)).stdout

    table = bench(dev, "fanout", "--subscribers", "2", *short)
    assert table.returncode == 0, table.stderr
    assert "2 readers of QoS 0 with 1 selection of values" in table.stdout and "the generator ran for" in table.stdout
    plain = ["--as", "plain", "--target", "mqtts://localhost:1", "--ca-file", dev.ready.ca_file]
    wrong = run("bench", "fanout", "--entitlements", "2", *plain)
    assert wrong.returncode == 2 and "gives all readers the same" in wrong.stderr, wrong.stderr
    assert bench(dev, "fanout", "--window", "1", "--rate", "1").returncode == 2


def test_each_vehicles_events_reach_its_own_reader_only(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    arguments = ["pairs", "--pairs", "8", "--seconds", "1", "--rounds", "1", "--rate", "100"]
    for qos in ["0", "1"]:
        figures = measured(dev, *arguments, "--qos", qos)
        (turn,) = figures["rounds"]
        assert (figures["vehicles"], figures["readers"], turn["events"], turn["messages"]) == (8, 8, 100, 100)
        assert (figures["lost"], turn["duplicates"]) == (0, 0)


def test_a_session_gets_what_it_has_missed(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--connections-per-client", "30")
    figures = measured(dev, "replay", "--sessions", "2", "--events", "500", "--rounds", "2")
    assert (figures["sessions"], figures["events"], figures["lost"]) == (2, 500, 0)
    for turn in figures["rounds"]:
        assert (turn["events"], turn["lost"], turn["duplicates"]) == (1000, 0, 0)
    assert figures["events_per_second"] > 0


def test_the_rest_api_is_asked_in_turns_with_a_bare_handler(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--requests-per-day", "0")
    arguments = ["rest", "--clients", "2", "--rounds", "1", "--seconds", "1", "--values", "100"]
    short = bench(dev, *arguments)
    assert short.returncode == 1 and "--fill 1000 or more" in short.stderr, short.stderr
    figures = measured(dev, *arguments, "--fill", "1000")
    assert [endpoint["name"] for endpoint in figures["endpoints"]] == ["telematicData", "history"]
    for endpoint, values in zip(figures["endpoints"], [50, 100], strict=True):
        assert endpoint["values"] == values and endpoint["ratio"] > 0
        (turn,) = endpoint["rounds"]
        for speed in turn.values():
            assert speed["requests"] >= 2 and speed["p50_us"] <= speed["p99_us"] <= speed["max_us"]
    # The container was for the measurement only.
    assert run("container", "list", "--ready-file", str(dev.ready_file)).stdout.count("cardata bench") == 0

    table = bench(dev, *arguments)
    assert table.returncode == 0, table.stderr
    assert "telematicData: 50 values" in table.stdout and "of the bare handler's" in table.stdout


def test_events_are_taken_over_mqtt_and_https_in_turns_with_the_journal_alone(start_dev: StartDev) -> None:
    dev = start_dev(*STILL)
    figures = measured(
        dev, "ingest", "--vehicles", "2", "--window", "4", "--lines", "4", "--rounds", "1", "--seconds", "1"
    )
    (taken,) = figures["rounds"]
    assert all(taken[kind]["events"] > 0 for kind in ("mqtt", "https", "journal")) and taken["broker"] is None
    for source, kind in (("mqtt", "mqtt"), ("https", "https")):
        accepted = f'cardata_ingest_events_total{{source="{source}",outcome="accepted"}}'
        assert counter(dev, accepted) == taken[kind]["events"]
    assert dev.admin("GET", "/admin/v1/sources").json == {"sources": []}
    assert bench(dev, "ingest", "--target", "mqtts://localhost:1").returncode == 2


def test_a_days_quota_ends_the_measurement_with_what_to_do(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--requests-per-day", "5")
    ended = bench(dev, "rest", "--values", "1")
    assert ended.returncode == 1 and "--requests-per-day 0" in ended.stderr, ended.stderr


def test_what_can_not_be_measured_is_said_with_what_to_do(start_dev: StartDev) -> None:
    dev = start_dev(*STILL, "--sessions-per-client", "5")
    crowded = bench(dev, "idle", "--connections", "20")
    assert crowded.returncode == 1 and "--connections-per-client" in crowded.stderr, crowded.stderr

    forgotten = bench(dev, "sessions", "--count", "20", "--at-once", "1")
    assert forgotten.returncode == 1 and "--sessions-per-client" in forgotten.stderr, forgotten.stderr

    own = str(os.getpid())
    stranger = bench(dev, "idle", "--connections", "1", "--pid", own)
    assert f"process {own} does not listen on port {dev.ready.mqtt_port}; process {dev.pid}" in stranger.stderr
    assert bench(dev, "idle", "--connections", "1", "--pid", str(dev.pid)).returncode == 0

    hungry = bench(dev, "idle", "--connections", "100000000")
    assert "ulimit -n" in hungry.stderr, hungry.stderr

    for arguments in (["--as", "plain"], ["--target", "mqtts://localhost:1"]):
        assert bench(dev, "idle", *arguments).returncode == 2, arguments
