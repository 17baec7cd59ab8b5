# SPDX-License-Identifier: GPL-2.0-or-later
"""The README's two commands are the ones that are tried, and what it promises exists."""

from __future__ import annotations

import os
import re
from pathlib import Path

from natmodel.releases import RELEASES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN = ROOT / ".ci" / "run"


def test_it_says_how_many_generations_there_are() -> None:
    assert f"* has {len(RELEASES)} behaviour generations from" in README


def commands() -> list[str]:
    """The README's shell blocks, in order."""
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```", README, re.M | re.S)]


def test_there_are_two_commands_of_one_line_each() -> None:
    main_job, tests = commands()
    assert main_job.endswith("natmodel check")
    assert tests.endswith("tox")
    assert "\n" not in main_job + tests


def test_ci_runs_the_test_command_word_for_word() -> None:
    _, tests = commands()
    assert tests in RUN.read_text(encoding="utf-8").splitlines()


def test_ci_runs_everything_recorded_after_the_test_command() -> None:
    _, tests = commands()
    lines = RUN.read_text(encoding="utf-8").splitlines()
    assert lines.index(tests) < lines.index(".venv/bin/tox -e conform")


def test_ci_run_stops_at_the_first_failure_and_can_be_executed() -> None:
    lines = RUN.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert "set -euo pipefail" in lines
    assert os.access(RUN, os.X_OK)


def test_the_readme_says_that_the_first_command_exits_1() -> None:
    assert "exits 1" in README


def test_every_path_that_the_readme_names_exists() -> None:
    named = re.findall(r"`((?:docs|natmodel|proofs)/[\w./-]*|LICENSE)`", README)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
