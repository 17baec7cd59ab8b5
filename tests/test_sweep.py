# SPDX-License-Identifier: GPL-2.0-or-later
"""Sweeps: whoever does the work, and in whatever order, one report; and nothing is done twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from natmodel import cells, cli, odds, sweep, sweep_text
from natmodel.cells import Answer, Cell, cells_of
from natmodel.census import most_drops
from natmodel.errors import BadInput
from natmodel.explore import Limits
from natmodel.quotient import Quotient
from natmodel.releases import RELEASES
from natmodel.sweep import run, run_here
from natmodel.sweep_text import Report
from natmodel.verdict import Quantifier, check
from tests.exploring import drop_odds
from tests.kernels import TELLING

ROOT = Path(__file__).parent.parent
Capture = pytest.CaptureFixture[str]

FEW = Limits(states=1500)
# each kind of verdict, one that is not decided, most drops from 0 to 2
CELLS = cells_of(
    kernels=["4.19.66", "6.12.117"],
    nats=["masquerade", "none", "snat to 203.0.113.1:4000"],
    numbers=[2, 3],
    asks=cells.ASKS,
) + cells_of(kernels=["6.12.117"], nats=["masquerade random"], numbers=[2, 3])


@cache
def expected() -> Report:
    """The report of CELLS, from this process."""
    return run(CELLS, limits=FEW)


@cache
def known() -> dict[str, str]:
    """What `work` makes of the work items of CELLS."""
    found = expected().answers.items()
    return {cells.work_item(cell, FEW): json.dumps(a.to_data()) for cell, a in found}


def shown(report: Report) -> str:
    """Everything that a report prints."""
    return report.text() + json.dumps(report.to_data())


# ── whoever does the work ───────────────────────────────────────────────────────────────────────


def test_the_cells_are_worth_a_test() -> None:
    found = set(expected().answers.values())
    assert {a.verdict for a in found} == set(Quantifier)
    assert {a.drops for a in found} == {None, 0, 1, 2}
    assert len(expected().answers) == len(CELLS) == 14


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_any_number_of_processes_prints_the_same(jobs: int) -> None:
    assert shown(run_here(CELLS, jobs, limits=FEW)) == shown(expected())


def test_threads_print_the_same() -> None:
    with ThreadPoolExecutor(3) as threads:
        assert shown(run(CELLS, threads, limits=FEW)) == shown(expected())


class Shuffled(Executor):
    """Does nothing until `at_last`; then all, in another order."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._todo: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._todo.append((future, lambda: fn(*args, **kwargs)))
        if len(self._todo) == len(CELLS):
            self._dice.shuffle(self._todo)
            for waiting, work in self._todo:
                waiting.set_result(work())
        return future


@given(st.randoms(use_true_random=False), st.permutations(CELLS))
def test_the_order_is_nobodys_business(dice: random.Random, cells: list[Cell]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "work", known().__getitem__)
        assert shown(run(cells, Shuffled(dice), limits=FEW)) == shown(expected())


@pytest.mark.filterwarnings("ignore")  # of theirs
def test_a_dask_cluster_of_two_processes_prints_the_same() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `dask` is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        pids = set(client.run(os.getpid).values())
        assert len(pids - {os.getpid()}) == 2
        assert shown(run(CELLS, client.get_executor(), limits=FEW)) == shown(expected())


def test_work_items_are_small_texts() -> None:
    for cell in CELLS:
        item = cells.work_item(cell, FEW)
        assert len(item) < 1000
        assert Cell.from_data(json.loads(item)["cell"]) == cell


# ── what the answers are ────────────────────────────────────────────────────────────────────────


@given(
    kernel=st.sampled_from(TELLING),
    nat=st.sampled_from(["masquerade to :4000-4002 random", "snat to 203.0.113.1:4000", "none"]),
    number=st.integers(1, 2),
    states=st.sampled_from([5, 40, 10_000]),
)
@settings(max_examples=15)
def test_an_answer_is_that_of_check(kernel: str, nat: str, number: int, states: int) -> None:
    limits = Limits(states=states)
    (cell,) = cells_of(kernels=[kernel], nats=[nat], numbers=[number], asks=cells.ASKS)
    found, verdict = cells.answer(cell, limits), check(cell.scenario, limits, outcomes=True)
    assert (found.verdict, found.states) == (verdict.quantifier, verdict.explored.states)
    assert found.exit_code == verdict.exit_code
    assert found.witness == (None if verdict.witness is None else str(verdict.witness))
    if verdict.explored.complete:
        assert found.outcomes == tuple((o.drops, str(o.schedule)) for o in verdict.outcomes)
        graph = Quotient(cell.scenario.threads(), cell.scenario.world())
        assert graph.grow()
        assert found.drops == most_drops(graph) == max(o.drops for o in verdict.outcomes)
        assert found.drop_odds == 1 - odds.drops(graph)[0] == drop_odds(graph.system)
    else:
        assert ("outcomes", "states") in found.gave_up
        assert found.outcomes is None


def test_lone_steps_find_the_most_drops_where_all_states_are_too_many() -> None:
    (cell,) = cells_of(nats=["snat to 203.0.113.1:4000"], numbers=[5])
    found = cells.answer(cell, Limits(states=400))
    assert (found.drops, found.odds) == (4, None)
    assert dict(found.gave_up) == {"verdict": "states", "odds": "states"}


def test_what_ended_a_search_is_said() -> None:
    (cell,) = cells_of()
    for limits, name in ((Limits(seconds=0), "seconds"), (Limits(memory=1), "memory")):
        assert set(dict(cells.answer(cell, limits).gave_up).values()) == {name}


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (None, "-"),
        (Fraction(0), "0"),
        (Fraction(1), "1"),
        (Fraction(1, 3), "0.3333"),
        (Fraction(1, 2**32), "2.328e-10"),
        (1 - Fraction(1, 10**9), "1-1e-09"),
    ],
)
def test_odds_are_0_or_1_only_if_they_are(p: Fraction | None, text: str) -> None:
    assert sweep_text.odds_text(p) == text


# ── merging ─────────────────────────────────────────────────────────────────────────────────────

answers = st.builds(
    Answer,
    st.sampled_from(list(Quantifier)),
    st.none() | st.just("0 1"),
    st.none() | st.integers(0, 9),
    st.integers(1, 9),
    drops=st.none() | st.integers(0, 2),
    odds=st.none() | st.just((Fraction(1, 3), Fraction(2, 3))),
    gave_up=st.sampled_from([(), (("odds", "states"),), (("verdict", "seconds"),)]),
)
reports = st.dictionaries(st.sampled_from(CELLS[:5]), answers).map(Report)


@given(reports, reports, reports)
def test_merging_knows_no_order_and_no_grouping(a: Report, b: Report, c: Report) -> None:
    assert shown(a.merged(b)) == shown(b.merged(a))
    assert a.merged(b) == b.merged(a)
    assert a.merged(b).merged(c) == a.merged(b.merged(c)) == sweep_text.merged([c, a, b])
    assert a.merged(a) == a.merged(Report()) == a


@given(reports)
def test_an_answer_survives_its_text(report: Report) -> None:
    for found in report.answers.values():
        assert Answer.from_data(json.loads(json.dumps(found.to_data()))) == found


@pytest.mark.parametrize("parts", [1, 2, 5, 20])
def test_slices_are_all_cells_once_each(parts: int) -> None:
    slices = [cells.slice_of(CELLS, f"{n}/{parts}") for n in range(1, parts + 1)]
    assert sorted(c.text() for s in slices for c in s) == sorted(c.text() for c in CELLS)
    assert max(map(len, slices)) - min(map(len, slices)) <= 1
    assert (
        sweep_text.merged(Report({c: expected().answers[c] for c in s}) for s in slices)
        == expected()
    )


# ── killed, and gone on with ────────────────────────────────────────────────────────────────────


class Counted:
    """How often work was done; what is known is taken from there."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.times, self._work, self._known = 0, cells.work, known()
        patch.setattr(sweep, "work", self)

    def __call__(self, item: str) -> str:
        self.times += 1
        return self._known.get(item) or self._work(item)


@given(data=st.data())
def test_a_file_that_was_cut_anywhere_is_gone_on_with(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    file = tmp_path_factory.mktemp("sweep") / "kept"
    with pytest.MonkeyPatch.context() as patch:
        counted = Counted(patch)
        assert run(CELLS, limits=FEW, keep=str(file)) == expected()
        assert counted.times == len(CELLS)
        text = file.read_bytes()
        cut = data.draw(st.integers(0, len(text)))
        file.write_bytes(text[:cut])
        # a line is whole without the newline at its end, too
        lines = text.splitlines()
        left = sum(len(b"\n".join(lines[: n + 1])) > cut for n in range(len(lines)))
        for _ in range(2):  # the second time shows that no line was spoilt by what came after it
            assert run(CELLS, limits=FEW, keep=str(file)) == expected()
            assert counted.times == len(CELLS) + left


def test_what_another_natmodel_or_other_limits_have_found_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells, file = CELLS[:2], str(tmp_path / "kept")
    run(cells, keep=file)
    counted = Counted(monkeypatch)
    run(cells, keep=file, limits=FEW)
    assert counted.times == 2
    monkeypatch.setattr("natmodel.kept.source_digest", lambda: "x")
    run(cells, keep=file)
    assert counted.times == 4


def test_a_changed_answer_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kept"
    run(CELLS[:1], keep=str(file))
    file.write_bytes(file.read_bytes().replace(b'"verdict": "sometimes"', b'"verdict": "never"'))
    counted = Counted(monkeypatch)
    run(CELLS[:1], keep=str(file))
    assert counted.times == 1


@pytest.mark.parametrize("text", [b"# words\n", b"\0", b'{"kept": 1}\n'])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "kept"
    file.write_bytes(text)
    with pytest.raises(BadInput, match="something else"):
        run(CELLS[:1], keep=str(file))
    assert file.read_bytes() == text


SWEEP = (
    *(sys.executable, "-m", "natmodel", "sweep", "--kernel", "4.15.0..4.19.304"),
    *("--nat", "masquerade", "--nat", "none", "--packets", "2", "--packets", "3"),
)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_sweep_that_is_killed_goes_on(tmp_path: Path, jobs: str) -> None:
    whole = subprocess.run([*SWEEP, "--jobs", "1"], cwd=ROOT, capture_output=True, check=False)
    file = tmp_path / "kept"
    command = [*SWEEP, "--jobs", jobs, "--keep", str(file)]
    for more in (1, 3):
        before = lines_of(file)
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        while process.poll() is None and lines_of(file) < before + more:
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=60)  # ends only when no worker is left that could write
    assert lines_of(file) >= 4
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, whole.stdout, b"")


def lines_of(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="signals are sent to one process")
def test_control_c_ends_the_workers_too(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    command = [*SWEEP, "--nat", "masquerade random-fully", "--jobs", "2", "--keep", str(file)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    while process.poll() is None and not lines_of(file):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # ends only when no worker is left
    assert (out, err.strip()) == (b"", b"")
    assert process.returncode == cli.INTERRUPTED


# ── workers that die ────────────────────────────────────────────────────────────────────────────


class Killer:
    """Kills a worker after each of the first answers, `times` times."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.killed: set[int] = set()

    def __call__(self, done: int, of: int) -> None:
        workers = [p.pid for p in multiprocessing.active_children() if p.pid not in self.killed]
        if self.left and workers and workers[0] is not None:
            self.left -= 1
            self.killed.add(workers[0])
            os.kill(workers[0], signal.SIGKILL)
            time.sleep(0.2)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_the_work_of_a_worker_that_was_killed_is_done_again() -> None:
    killer = Killer(1)
    report = run_here(CELLS, 2, limits=FEW, progress=killer)
    assert killer.left == 0
    assert shown(report) == shown(expected())


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_workers_that_die_again_are_one_clear_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "work", eval)
    monkeypatch.setattr(sweep, "work_item", lambda cell, limits: "__import__('os')._exit(9)")
    assert cli.main(["sweep", "--kernel", "4.19.66..5.0.1", "--jobs", "2"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "a worker died (killed, or out of memory) when 0 of 4 cells were answered" in err


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def swept(capsys: Capture, *args: str) -> tuple[int, str, str]:
    code = cli.main(["sweep", "--jobs", "1", *args])
    out, err = capsys.readouterr()
    return code, out, err


def last_line(out: str) -> str:
    return out.splitlines()[-1]


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--nat", "none"], 0),
        (["--nat", "none", "--nat", "masquerade"], 1),
        (["--nat", "none", "--nat", "masquerade", "--max-states", "25"], 3),
        (["--outcomes", "--max-states", "42"], 3),
        (["--nat", "none", "--nat", "masquerade", "--slice", "2/2"], 0),
        (["--nat", "none", "--slice", "2/2"], 0),
    ],
)
def test_exit_codes(capsys: Capture, args: list[str], code: int) -> None:
    done, out, err = swept(capsys, *args)
    assert (done, err) == (code, "")
    assert re.fullmatch(r"\d cells?: \d never, \d sometimes, \d always, \d unknown", last_line(out))


def test_the_default_is_that_of_check(capsys: Capture) -> None:
    assert Limits(cli.MOST_STATES_EACH) == cells.USUAL_LIMITS
    code, out, _ = swept(capsys)
    assert code == 1
    assert out.splitlines() == [
        "--nat masquerade",
        "kernel    packets  verdict    steps  most  states  P(drop)",
        "6.12.117        2  sometimes     12     1      43   0.4922",
        "",
        "1 cell: 0 never, 1 sometimes, 0 always, 0 unknown",
    ]


def test_the_table_is_at_most_80_columns_wide(capsys: Capture) -> None:
    many = [f"tcp 10.0.0.{n}:99 > 192.0.2.1:80" for n in range(1, 4)]
    packets = [word for text in many for word in ("--packet", text)]
    code, out, _ = swept(
        capsys, "--kernel", "all", *packets, "--outcomes", "--occupied", "1024-1030",
        "--max-states", "20",
    )  # fmt: skip
    assert code == 3
    assert max(map(len, out.splitlines())) <= 80
    assert out.splitlines()[-1].startswith(f"{len(RELEASES)} cells: 0 never")
    assert "--packet 'tcp 10.0.0.3:99" in " ".join(out.split())


def test_large_numbers_fit_too() -> None:
    (cell,) = cells_of(kernels=["4.18.0-394.el8"], numbers=[33], asks=cells.ASKS)
    found = Answer(
        Quantifier.SOMETIMES, "0", 1000, 1_000_001, (), 32, (Fraction(1, 3**9), Fraction(1)),
        (("verdict", "seconds"),),
    )  # fmt: skip
    small = attrs.evolve(found, odds=(1 - Fraction(1, 3 * 10**9), Fraction(1)))
    for answer in (found, small):
        assert max(map(len, Report({cell: answer}).text().splitlines())) <= 80


def test_the_json_has_exact_fractions_and_scenarios(capsys: Capture) -> None:
    code, out, _ = swept(capsys, "--kernel", "4.19.66", "--outcomes", "--format", "json")
    data = json.loads(out)
    assert (code, data["schema"]) == (1, "natmodel.sweep/1")
    (cell,) = data["cells"]
    assert (cell["odds"], cell["drop_odds"]) == (["11/32", "21/32"], "21/32")
    assert cell["outcomes"][0][0] == 0
    assert Cell.from_data(cell).scenario.kernel == "4.19.66"
    assert data["sum"] == {"cells": 1, "never": 0, "sometimes": 1, "always": 0, "unknown": 0}


def test_a_scenario_file_gives_what_is_not_said(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(CELLS[2].scenario.to_toml())
    _, out, _ = swept(capsys, str(file), "--kernel", "5.0.1", "--format", "json")
    (cell,) = json.loads(out)["cells"]
    assert cell["scenario"] | {"kernel": "4.19.66"} == json.loads(CELLS[2].scenario.to_json())


def test_slices_with_files_of_their_own_make_one_report(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("--kernel", "4.19.66..5.0.1", "--nat", "none", "--nat", "masquerade")
    for n in (1, 2, 3):
        swept(capsys, *args, "--slice", f"{n}/3", "--keep", str(tmp_path / f"{n}.kept"))
    texts = [(tmp_path / f"{n}.kept").read_bytes() for n in (3, 1, 2)]
    (tmp_path / "all").write_bytes(b"".join(texts))
    whole = swept(capsys, *args)
    counted = Counted(monkeypatch)
    assert swept(capsys, *args, "--keep", str(tmp_path / "all")) == whole
    assert counted.times == 0


def test_progress_is_for_terminals(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    _, out, err = swept(capsys, "--nat", "none", "--nat", "masquerade")
    assert err == "\r\033[K1 of 2 cells\r\033[K2 of 2 cells\r\033[K"
    assert "of 2" not in out


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["--kernel", "2.4.0"], "2.4.0"),
        (["--kernel", "2.4.0..5.0.1"], "2.4.0"),
        (["--kernel", "5.0.1..4.19.66"], "4.19.66 comes before 5.0.1"),
        (["--kernel", ".."], "kernel"),
        (["--nat", "frobnicate"], "frobnicate"),
        (["--nat", ""], "nat"),
        (["--packets", "0"], "packets 0"),
        (["--packets", "9999"], "packets 9999"),
        (["--packets", "2", "--packet", "tcp 10.0.0.1:1 > 10.0.0.2:80"], "not both"),
        (["--kernel", "all", "--rover", "tcp=7"], "kernel '4."),
        (["--slice", "0/2"], "slice"),
        (["--slice", "3/2"], "slice"),
        (["--slice", "x"], "slice"),
        (["--keep", "/"], "keep /"),
        (["--keep", "\0"], "keep"),
        (["-o", "/"], "/"),
        (["--jobs", "0"], "jobs"),
        (["--max-states", "0"], "max-states"),
        (["--format", "xml"], "xml"),
        (["missing.toml"], "missing.toml"),
    ],
)
def test_bad_input_is_one_line(capsys: Capture, args: list[str], named: str) -> None:
    code, out, err = swept(capsys, *args)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("natmodel: ")
    assert named in err


def test_an_unknown_question_is_named() -> None:
    with pytest.raises(BadInput, match="'x' is none of"):
        cells_of(asks=["x"])
