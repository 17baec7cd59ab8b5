# SPDX-License-Identifier: GPL-2.0-or-later
"""Every outcome with a shortest schedule, and searches that are stopped, killed and gone on with."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from natmodel.checkpoint import Checkpoint
from natmodel.cli import main
from natmodel.errors import BadInput
from natmodel.explore import Explorer, Limits
from natmodel.release import Fate
from natmodel.scenario import Scenario
from natmodel.schedule import Schedule
from natmodel.system import State, System
from natmodel.verdict import Quantifier, Verdict, check, replay
from tests.drawn import drawn_scenarios
from tests.exploring import scenario
from tests.kernels import TELLING, each_kernel

# ── outcomes ────────────────────────────────────────────────────────────────────────────────────

Kind = tuple[tuple[int, str, int], ...]


def kind(results: tuple[tuple[Fate, ...], ...]) -> Kind:
    """How each packet ended, whoever it was."""
    return tuple(sorted((f.verdict, f.cause, f.at) for fates in results for f in fates))


def best_ways(s: Scenario, most: int) -> dict[Kind, tuple[int, int]] | None:
    """Kind -> fewest steps and, of so many steps, fewest switches; by a search that merges nothing."""
    system = System(s.threads(), s.world(), lazy=False)
    layer: dict[tuple[State, int], int] = {(system.initial, -1): 0}
    seen: set[State] = set()
    best: dict[Kind, tuple[int, int]] = {}
    for steps in range(1000):
        after: dict[tuple[State, int], int] = {}
        for (state, last), switches in layer.items():
            moves = list(system.moves(state))
            if not moves:
                found = (steps, switches)
                key = kind(system.results(state))
                best[key] = min(best.get(key, found), found)
            for move in moves:
                more = switches + (last not in (-1, move.cpu))
                to = (move.state, move.cpu)
                after[to] = min(after.get(to, more), more)
        seen |= {state for state, _ in layer}
        if not after:
            return best
        if len(seen) > most:
            return None
        layer = after
    raise AssertionError("a schedule without end")


def kinds_of(verdict: Verdict) -> dict[Kind, tuple[int, int]]:
    found: dict[Kind, tuple[int, int]] = {}
    for outcome in verdict.outcomes:
        walked = replay(verdict.scenario, outcome.schedule)
        results = walked.system.results(walked.states[-1])
        assert walked.system.is_final(walked.states[-1])
        key, length = kind(results), (len(outcome.schedule), outcome.schedule.switches)
        found[key] = min(found.get(key, length), length)
    return found


@each_kernel(*TELLING)
@settings(max_examples=5)
@given(data=st.data())
def test_every_outcome_has_a_shortest_schedule(kernel: str, data: st.DataObject) -> None:
    s = data.draw(drawn_scenarios(kernel))
    best = best_ways(s, 2500)
    assume(best is not None)
    verdict = check(s, outcomes=True)
    assert kinds_of(verdict) == best
    assert verdict.explored.complete


def test_outcomes_come_with_fewest_drops_first_and_one_schedule_each() -> None:
    verdict = check(scenario("6.12.117", ports=(32769,) * 3), outcomes=True)
    assert [outcome.drops for outcome in verdict.outcomes] == [0, 1, 2]
    assert verdict.quantifier is Quantifier.SOMETIMES


def test_outcomes_that_were_not_asked_for_are_not_there() -> None:
    assert check(scenario("6.12.117"), exhaustive=True).outcomes == ()


def test_a_list_of_outcomes_that_is_not_whole_is_not_decided(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "--outcomes", "--max-states", "40"]) == 3
    assert "not all: the search was given up" in capsys.readouterr().out


def test_outcomes_as_text_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--outcomes"]) == 1
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    assert main(["check", "--outcomes", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert [outcome["dropped"] for outcome in data["outcomes"]] == [0, 1]
    for outcome in data["outcomes"]:
        assert outcome["schedule"] in text
        assert outcome["steps"] == len(Schedule.parse(outcome["schedule"]))


# ── limits ──────────────────────────────────────────────────────────────────────────────────────


def test_a_search_that_needs_too_much_memory_is_given_up() -> None:
    verdict = check(
        scenario("6.12.117", "masquerade random-fully"), Limits(memory=1_000_000), exhaustive=True
    )
    assert verdict.exit_code in (1, 3)
    assert not verdict.explored.complete
    assert verdict.explored.states < 590


def test_the_memory_limit_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["check", "--nat", "masquerade random-fully", "--outcomes", "--max-memory", "1"]
    assert main(command) == 3
    assert "given up" in capsys.readouterr().out


# ── checkpoints ─────────────────────────────────────────────────────────────────────────────────


class Killed(Exception):
    pass


def same(a: Verdict, b: Verdict) -> bool:
    one, other = (attrs.evolve(v.explored, seconds=0) for v in (a, b))
    return one == other


@settings(max_examples=15)
@given(
    kernel=st.sampled_from(TELLING),
    nat=st.sampled_from(["masquerade", "snat to 203.0.113.1:4000-4007 random"]),
    pauses=st.lists(st.integers(1, 6), max_size=3),
)
def test_a_search_goes_on_from_any_checkpoint(
    tmp_path_factory: pytest.TempPathFactory, kernel: str, nat: str, pauses: list[int]
) -> None:
    s = scenario(kernel, nat, ports=(32769,) * 2, occupied=("4001",))
    kept = Checkpoint(str(tmp_path_factory.mktemp("run") / "run"), s, "outcomes", 0)
    for wait in pauses:
        left = wait

        def pause(explorer: Explorer) -> None:
            nonlocal left
            left -= 1
            if not left:
                kept.write(explorer)
                raise Killed

        try:
            check(s, outcomes=True, explorer=kept.read(), pause=pause)
        except Killed:
            continue
    assert same(check(s, outcomes=True, explorer=kept.read()), check(s, outcomes=True))


def kept_by(tmp_path: Path, s: Scenario, question: str = "outcomes") -> Checkpoint:
    kept = Checkpoint(str(tmp_path / "run"), s, question)
    kept.write(Explorer(s.threads(), s.world()))
    return kept


def test_a_checkpoint_of_another_question_is_refused(tmp_path: Path) -> None:
    s = scenario("6.12.117")
    kept_by(tmp_path, s)
    for other, question, what in (
        (scenario("4.19.66"), "outcomes", "another scenario"),
        (s, "exhaustive", "another question"),
    ):
        with pytest.raises(BadInput, match=what):
            Checkpoint(str(tmp_path / "run"), other, question).read()


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("natmodel.checkpoint.__version__", "0.0.1", "another version of natmodel"),
        ("natmodel.checkpoint.source_digest", lambda: "x", "a natmodel that was changed since"),
    ],
)
def test_a_checkpoint_of_another_natmodel_is_refused(
    tmp_path: Path, name: str, value: Any, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s = scenario("6.12.117")
    kept_by(tmp_path, s)
    monkeypatch.setattr(name, value)
    with pytest.raises(BadInput, match=what):
        Checkpoint(str(tmp_path / "run"), s, "outcomes").read()


@settings(max_examples=60)
@given(data=st.data())
def test_a_file_that_is_not_whole_is_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    tmp_path = tmp_path_factory.mktemp("run")
    kept = kept_by(tmp_path, scenario("6.12.117"))
    file = tmp_path / "run"
    text = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(text) - 1))
    if data.draw(st.booleans()):
        del text[at:]
    else:
        text[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(text)
    with pytest.raises(BadInput, match="checkpoint"):
        kept.read()


def test_a_checkpoint_where_none_can_be_written_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in (tmp_path, tmp_path / "missing" / "run"):
        command = ["check", "--checkpoint", str(place), "--max-states", "5", "--exhaustive"]
        assert main(command) == 2
        err = capsys.readouterr().err
        assert "checkpoint" in err
        assert len(err.splitlines()) == 1


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_answer(tmp_path: Path) -> None:
    """SIGKILL, at random moments of a real run."""
    command = [
        *(sys.executable, "-m", "natmodel", "check", "--outcomes"),
        *("--nat", "snat to 203.0.113.1:4000-4007 random-fully", "--occupied", "4000"),
        *(
            "--packet",
            "tcp 10.0.0.1:99 > 192.0.2.1:80",
            "--packet",
            "tcp 10.0.0.2:99 > 192.0.2.1:80",
        ),
        *("--packet", "tcp 10.0.0.3:99 > 192.0.2.1:80"),
    ]
    whole = subprocess.run(command, capture_output=True, timeout=300, check=False)
    resumed = [*command, "--checkpoint", str(tmp_path / "run"), "--checkpoint-every", "0.05"]
    dice, kills, left = random.Random(1), 0, 40
    while True:
        run = subprocess.Popen(resumed, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            # at the end it is let be, so that a slow machine gets through
            out, err = run.communicate(timeout=dice.uniform(0.3, 1.5) if left else 300)
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.communicate()
            kills, left = kills + 1, left - 1
            continue
        break
    assert (run.returncode, out, err) == (whole.returncode, whole.stdout, b"")
    assert kills >= 2
    assert list(tmp_path.iterdir()) == []


def test_the_progress_line_says_how_much_is_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(time, "monotonic", iter(range(100_000)).__next__)
    main(["check", "--exhaustive", "--nat", "masquerade random-fully"])
    err = capsys.readouterr().err
    assert "to go on from" in err
    assert " of about " in err
