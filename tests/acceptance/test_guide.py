"""What the guide on testing an integration gives to users is run as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.dev import BINARY, PROJECT, environment

GUIDE = PROJECT / "docs" / "guides" / "testing-your-integration"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project, into which the guide's files were copied."""
    tests = tmp_path / "project" / "tests"
    tests.mkdir(parents=True)
    for name in ("conftest.py", "test_integration.py"):
        shutil.copy(GUIDE / name, tests / name)
    return tests.parent


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A runner's environment, whose image has `cardata` and Python."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "cardata").symlink_to(BINARY)
    (programs / "python").symlink_to(sys.executable)
    temporary = tmp_path / "runner"
    temporary.mkdir()
    # The interpreter of a virtual environment is found by where it stands, not by a link to it.
    path = os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]])
    return {
        **environment(),
        "PATH": path,
        "RUNNER_TEMP": str(temporary),
        "GITHUB_ENV": str(tmp_path / "github-env"),
        # A user's Python has not the plugins that ours has, which take seconds to load.
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }


def test_the_steps_of_the_github_workflow_pass_in_their_order(project: Path, environ: dict[str, str]) -> None:
    workflow: dict[str, Any] = yaml.safe_load((GUIDE / "github-actions.yml").read_text())
    steps = [step for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert len(steps) == 6
    github_env = Path(environ["GITHUB_ENV"])
    sandbox = 0
    try:
        for step in steps:
            if step.get("if") == "failure()":
                continue
            github_env.touch()
            set_before = dict(line.split("=", 1) for line in github_env.read_text().splitlines())
            # As a runner does it; the sandbox stays in the background.
            script = f"{step['run']}\njobs -p > \"$RUNNER_TEMP/jobs\""
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
                cwd=project,
                env={**environ, **set_before},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{step['name']}: {done.stdout}\n{done.stderr}"
            jobs = (Path(environ["RUNNER_TEMP"]) / "jobs").read_text().split()
            sandbox = int(jobs[0]) if jobs else sandbox
        assert sandbox
        assert "1 passed" in done.stdout, done.stdout
    finally:
        if sandbox:
            os.kill(sandbox, 15)


def test_the_pytest_fixture_starts_a_sandbox_of_its_own(project: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests"],
        cwd=project,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
