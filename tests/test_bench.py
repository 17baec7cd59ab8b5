# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks measure what they say: models of the same workload, equal answers, CPU seconds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from natmodel.explore import Limits
from tests.bench import __main__ as bench
from tests.bench import models, ours, peers, reduction, rows, table
from tests.bench.cpu import run
from tests.bench.natclash import Workload
from tests.bench.peers import MINICHECK, RUMUR, SPIN, STORM, Answers, Peer, Side
from tests.bench.rows import Disagreement, Result, Row

# ── what the other checkers say ─────────────────────────────────────────────────────────────────


def answers(peer: Peer, work: Workload, folder: Path) -> Answers:
    """What the peer says; skips, with the reason, where it is not installed."""
    why_not = peer.missing()
    if why_not is not None:
        pytest.skip(f"{peer.name}: {why_not}")
    side = peer.ready(work, folder)
    ran = run(side.command, side.folder)
    assert ran.code == 0, ran.text
    return side.read(ran.text)


# Every mode, an occupied window, tables of one byte, one word and two words, the sign bit, a short.
SMALL = [
    Workload(2, 4, 0, "fixed"),
    Workload(3, 4, 0, "rover"),
    Workload(3, 4, 0, "random"),
    Workload(3, 3, 1, "random"),
    Workload(2, 10, 7, "rover"),
    Workload(2, 34, 33, "rover"),
    Workload(2, 300, 299, "fixed"),
]


@pytest.mark.parametrize("work", SMALL, ids=str)
def test_spin_counts_as_many_states_and_drops(work: Workload, tmp_path: Path) -> None:
    found = answers(SPIN, work, tmp_path)
    counted = ours.census(work)
    assert found == {"states": counted["states"], "drops": counted["drops"]}


@pytest.mark.parametrize("work", SMALL[:5], ids=str)
def test_rumur_counts_as_many_states_of_packets_without_names(
    work: Workload, tmp_path: Path
) -> None:
    assert answers(RUMUR, work, tmp_path) == ours.merged(work)


@pytest.mark.parametrize(
    "work",
    [
        Workload(2, 2, 0, "random"),
        Workload(2, 4, 2, "random"),
        Workload(3, 3, 0, "random"),
        Workload(3, 4, 3, "random"),
        Workload(2, 4, 3, "fixed"),
        Workload(3, 4, 0, "rover"),
        Workload(3, 4, 1, "rover"),
    ],
    ids=str,
)
def test_storm_has_the_same_odds(work: Workload, tmp_path: Path) -> None:
    assert answers(STORM, work, tmp_path) == ours.odds(work)


@pytest.mark.parametrize("work", SMALL[:5], ids=str)
def test_minicheck_counts_as_many_states(work: Workload, tmp_path: Path) -> None:
    assert answers(MINICHECK, work, tmp_path) == {"states": ours.census(work)["states"]}


def test_an_output_that_is_not_of_a_full_search_says_nothing() -> None:
    stopped = "Warning: Search not completed\n   errors: 0\n   10 states, stored\n"
    assert peers.read_spin(stopped) == {}
    assert peers.read_spin("errors: 1\n 10 states, stored") == {}
    assert peers.read_spin("errors: 0\n   1.5e+06 states, stored") == {
        "states": 1499999,
        "drops": 0,
    }
    assert peers.read_rumur("Segmentation fault") == {}


# ── their models ────────────────────────────────────────────────────────────────────────────────


def test_the_model_for_spin() -> None:
    model = models.promela(Workload(3, 8, 4, "random"))
    assert "byte table;" in model
    assert model.count("doing == 0 -> port = ") == 8
    assert "table = 15; run packet(); run packet(); run packet() };" in model


def test_a_table_of_several_words_has_its_sign_bits() -> None:
    model = models.promela(Workload(2, 64, 33, "fixed"))
    assert "int table[2];" in model
    assert "table[0] = -1; table[1] = 1;" in model


def test_the_model_for_rumur() -> None:
    model = models.murphi(Workload(3, 8, 4, "rover"))
    assert "Packet: scalarset(3);" in model
    assert "taken[k] := k < 4;" in model
    assert "port[t] := rover" in model
    assert "doing[t] := STORE;" in model


def test_the_model_for_storm() -> None:
    model = models.prism(Workload(2, 2, 1, "random"), "mdp")
    assert model.startswith("mdp\nglobal u0: [0..1] init 1;\nglobal u1: [0..1] init 0;\n")
    assert "[] doing1=0 -> 1/2: (doing1'=1)&(port1'=0) + 1/2: (doing1'=1)&(port1'=1);" in model
    assert model.endswith('label "drop" = doing0=5 | doing1=5;\n')


# ── one case, measured ──────────────────────────────────────────────────────────────────────────


def says(answer: str) -> Peer:
    """A peer that always says this."""

    def ready(work: Workload, folder: Path) -> Side:
        return Side([sys.executable, "-c", f"print('{answer}')"], folder, peers.read_json)

    return Peer("parrot", lambda: None, ready)


TWO = Workload(2, 4, 0, "fixed")


def test_runs_take_turns_and_are_compared() -> None:
    result = rows.measured(Row("census", TWO, says('{"states": 15}')), 2)
    assert len(result.ours) == len(result.theirs) == 2
    assert result.agreed == {"states": 15}
    assert result.alone == {"drops": 1, "classes": 9}
    assert result.ratios is not None
    least, middle, greatest = result.ratios
    assert 0 < least <= middle <= greatest


@pytest.mark.parametrize("answer", ['{"states": 16}', '{"lost": 15}', "{}"])
def test_another_answer_is_an_error(answer: str) -> None:
    with pytest.raises(Disagreement):
        rows.measured(Row("census", TWO, says(answer)), 1)


def test_a_failure_is_an_error() -> None:
    peer = Peer("", lambda: None, lambda _, at: Side(["false"], at, peers.read_json))
    with pytest.raises(Disagreement, match="false ended with 1"):
        rows.measured(Row("census", TWO, peer), 1)


def test_an_answer_that_was_known_is_held_to() -> None:
    assert rows.measured(Row("census", TWO, known={"states": 15}), 1).agreed == {"states": 15}
    with pytest.raises(Disagreement, match="states is 14, or 15"):
        rows.measured(Row("census", TWO, known={"states": 14}), 1)


def test_a_peer_that_is_missing_leaves_ours_alone() -> None:
    absent = Peer("absent", lambda: "not installed: absent", says("{}").ready)
    result = rows.measured(Row("census", TWO, absent), 1)
    assert (len(result.ours), result.theirs, result.ratios) == (1, [], None)
    assert table.note(result).startswith(
        "fixed 2/4/0 census, absent: not installed: absent; states"
    )


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(peers, "PYTHON", "no-python")
    assert SPIN.missing() == "not installed: spin, gcc"
    assert RUMUR.missing() == "not installed: rumur, gcc"
    assert STORM.missing() == "not installed: stormpy"


def test_every_answer_has_to_be_one() -> None:
    assert rows.compared("", [{"a": 1, "b": 2}, {"a": 1}]) == ({"a": 1}, {"b": 2})
    with pytest.raises(Disagreement, match="x: a is 1, or 2"):
        rows.compared("x", [{"a": 1}, {"a": 1}, {"a": 2}])


def test_cpu_is_that_of_the_whole_process_and_no_sleep() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    assert 0.2 <= run([sys.executable, "-c", busy], Path()).cpu < 2
    asleep = run([sys.executable, "-c", "import time; time.sleep(0.5)"], Path())
    assert asleep.cpu < 0.4
    assert asleep.wall >= 0.5


# ── tables ──────────────────────────────────────────────────────────────────────────────────────

HALF = Result(Row("census", TWO, SPIN), [1.0, 2.0, 4.0], [2.0, 2.0, 2.0], {"states": 1234})


def test_a_table_as_text() -> None:
    assert table.text(table.RESULTS, [table.line(HALF)]).splitlines() == [
        "natclash T/R/K      ours  peer  theirs  min  median  max",
        "------------------  ----  ----  ------  ---  ------  ---",
        "fixed 2/4/0 census  2.00  SPIN    2.00  0.5       1    2",
    ]


def test_a_table_as_markdown() -> None:
    assert table.markdown(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | ---: |\n| 1 | 2 |"


def test_a_note_says_what_was_agreed_on() -> None:
    assert table.note(HALF) == "fixed 2/4/0 census, SPIN: states 1,234 (agreed)"


@pytest.mark.parametrize("asked", [rows.FULL, rows.QUICK], ids=["full", "quick"])
def test_no_table_is_wider_than_a_terminal(asked: tuple[Row, ...]) -> None:
    lines = [table.line(Result(row, [12.3], [9876.5])) for row in asked]
    for drawn in table.text(table.RESULTS, lines).splitlines():
        assert len(drawn) <= table.WIDTH


# ── what reductions save ────────────────────────────────────────────────────────────────────────


def test_what_reductions_save() -> None:
    lines = [reduction.line(race, Limits()) for race in reduction.races(reduction.FOUR, (2,))]
    assert [line[:6] for line in lines] == [
        ["2", "4.19.66", "47,520", "537", "276", "111"],
        ["2", "6.12.117", "14,784", "381", "198", "62"],
    ]
    assert all(len(line) == len(reduction.HEADER) for line in lines)


def test_a_limit_shows() -> None:
    [race, _] = reduction.races(reduction.FOUR, (2,))
    stopped = reduction.line(race, Limits(states=50))
    assert stopped[2] == reduction.NOT_THERE
    assert stopped[3].startswith("> ")
    assert stopped[5].startswith("> ")


# ── the command ─────────────────────────────────────────────────────────────────────────────────


def test_the_command_writes_text_and_markdown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "QUICK", (Row("census", TWO, says('{"states": 15}')),))
    monkeypatch.setattr(reduction, "races", lambda window: [reduction.Race(2, "6.12.117", window)])
    file = tmp_path / "benchmarks.md"
    assert bench.main(["--quick", "--markdown", str(file), "peers", "reduction"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= table.WIDTH
    assert "* fixed 2/4/0 census, parrot: states 15 (agreed)" in file.read_text(encoding="utf-8")


def test_the_command_fails_where_answers_differ(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "QUICK", (Row("census", TWO, says('{"states": 16}')),))
    assert bench.main(["--quick", "peers"]) == 1
    assert "states is 15, or 16" in capsys.readouterr().err
