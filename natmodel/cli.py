# SPDX-License-Identifier: GPL-2.0-or-later
"""The command `natmodel`: stdout carries the result, stderr the progress and complaints.

Exit codes: 0 no drop within the bound, 1 a drop is reachable, 2 bad input, 3 not decided.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import attrs
import click

from natmodel import __version__, render
from natmodel.checkpoint import Checkpoint
from natmodel.errors import BadInput
from natmodel.explore import Explorer, Limits
from natmodel.kernel_name import answer_text, kernel_rows
from natmodel.odds import Odds, odds_of
from natmodel.releases import MODULES, RELEASES
from natmodel.render import Line
from natmodel.scenario import Scenario, row_of
from natmodel.schedule import Schedule
from natmodel.trace import Trace, outcome_data, trace_of
from natmodel.verdict import Verdict, check, replay, to_the_end, usual_length

CHECK_SCHEMA: Final = "natmodel.check/1"
REPLAY_SCHEMA: Final = "natmodel.replay/1"
ODDS_SCHEMA: Final = "natmodel.odds/1"

BAD_INPUT: Final = 2
UNKNOWN: Final = 3
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

# More states than this need more memory than one would give without having been asked.
MOST_STATES: Final = 1_000_000
# The same for each cell of a sweep, of which as many are searched at once as there are cores.
MOST_STATES_EACH: Final = 200_000

F = TypeVar("F", bound=Callable[..., Any])


@attrs.frozen
class Result:
    """What a command prints, where, and its exit code."""

    lines: tuple[Line, ...]
    exit_code: int = 0
    output: str | None = None
    ascii: bool = False


# ── options ─────────────────────────────────────────────────────────────────────────────────────


def _options(*options: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one, in the order in which the help shows them."""

    def decorate(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


class _Seconds(click.FloatRange):
    """A number of seconds; nan is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Any:
        seconds = super().convert(value, param, context)
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, context)
        return seconds


_more_scenario_options = _options(
    click.option(
        "--packet", multiple=True, metavar="PACKET", help="A connection's first.  Repeatable."
    ),
    click.option("--cpus", type=int, metavar="N", help="One for each packet unless given."),
    click.option(
        "--occupied",
        multiple=True,
        metavar="PORTS|ENTRY",
        help="What the table holds at the start.  Repeatable.",
    ),
    click.option("--outside", metavar="ADDRESS", help="What masquerade translates to."),
    click.option(
        "--rover",
        multiple=True,
        metavar="PROTO=N",
        help="Where <= 4.20 left its search hint.  Repeatable.",
    ),
    click.option("--boot", metavar="KEYS", help="'buckets N ...': make every hash concrete."),
    click.option(
        "--retransmit", metavar="S,S", help="A dropped SYN is sent again after 1,3,7 seconds."
    ),
)

_scenario_options = _options(
    click.argument("scenario_file", required=False),
    click.option(
        "--kernel", metavar="RELEASE", help="A row of `natmodel releases`, or what uname says."
    ),
    click.option("--nat", multiple=True, metavar="RULE", help="A NAT rule, or none.  Repeatable."),
    _more_scenario_options,
)

_limit_options = _options(
    click.option(
        "--max-states",
        type=click.IntRange(1),
        metavar="N",
        default=MOST_STATES,
        show_default=True,
        help="Give up after so many.",
    ),
    click.option("--max-seconds", type=_Seconds(0), metavar="S", help="Give up after so long."),
)

_output_options = _options(
    click.option(
        "--format", type=click.Choice(["text", "json"]), default="text", help="Of stdout."
    ),
    click.option("--ascii", is_flag=True, help="No characters but ASCII."),
    click.option(
        "--width",
        type=click.IntRange(render.MIN_WIDTH, 10_000),
        metavar="N",
        help="Columns; at least 80 and as many as the terminal has unless given.",
    ),
    click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout."),
)

_jobs_option = click.option(
    "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Processes; one a core unless given."
)


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.version_option(__version__, prog_name="natmodel", message="%(prog)s %(version)s")
@click.pass_context
def natmodel(context: click.Context) -> Result | None:
    """An exact model of how Linux picks a port for source NAT.

    \b
      natmodel check             can a SYN be dropped?  Two pods, one MASQUERADE
      natmodel check --help      other rules, packets and kernels
      natmodel odds              how probable is a drop, exactly?
      natmodel sweep ...         the same of many kernels and rules at once
      natmodel replay ...        walk one schedule step by step
      natmodel conform FILE      hold the model against recorded kernel runs
      natmodel releases          the kernels that it knows

    Exit codes: 0 no packet is dropped, 1 a packet is, 2 bad input, 3 not decided.
    """
    if context.invoked_subcommand is None:
        return _text([Line(context.get_help())])
    return None


# ── check ───────────────────────────────────────────────────────────────────────────────────────


@natmodel.command("check", short_help="Can a packet be dropped, in any schedule?")
@_scenario_options
@click.option("--exhaustive", is_flag=True, help="Do not stop at the first drop.")
@click.option("--outcomes", is_flag=True, help="All of them, each with a shortest schedule.")
@_limit_options
@click.option(
    "--max-memory", type=click.IntRange(1), metavar="MB", help="Give up when so much is in use."
)
@click.option(
    "--checkpoint", metavar="FILE", help="Go on from there; write the search there now and then."
)
@click.option(
    "--checkpoint-every",
    type=_Seconds(0),
    metavar="S",
    default=30.0,
    show_default=True,
    help="Not more often.",
)
@_output_options
def check_command(
    exhaustive: bool,
    outcomes: bool,
    max_states: int,
    max_seconds: float | None,
    max_memory: int | None,
    checkpoint: str | None,
    checkpoint_every: float,
    format: str,
    ascii: bool,
    width: int | None,
    output: str | None,
    **flags: Any,
) -> Result:
    """Can a packet be dropped, in any schedule and with any random numbers?

    Prints the shortest schedule that drops one, or what was covered if there is
    none.  Without arguments: two pods behind one MASQUERADE rule connect to one
    server from the same source port.

    \b
    natmodel check --kernel 4.19.66 --nat 'masquerade random-fully'
    natmodel check --nat 'snat to 203.0.113.1:4000-4003' --occupied 4000-4002
    natmodel check --packet 'udp 10.0.0.1:53 > 192.0.2.1:53' \\
                   --packet 'udp 10.0.0.2:53 > 192.0.2.1:53'
    natmodel check scenario.toml --cpus 2 --format json

    \b
    RULE    masquerade [to :A-B] [FLAGS]
            snat to IP[-IP][:A-B] [FLAGS], dnat to IP[-IP][:A-B] [FLAGS], none
    FLAGS   random, random-fully, persistent
    PACKET  tcp|udp|udplite|sctp|dccp A:P > B:Q    an IPv6 address in brackets
            icmp|icmpv6 A > B id N, gre A > B key S/D [master], NUMBER A > B
            ... [zone N [orig|reply]] [seq N]
    PORTS   80, 1024-2047 or both: held by strangers wherever it matters
    ENTRY   PACKET [to B:Q] [as M:P] [state S] [td-end N] [status NAMES] ...

    SCENARIO_FILE is TOML or JSON; flags override what it says.

    Exit codes: 0 no packet is dropped within the bound that is printed, 1 a
    packet is, 2 bad input, 3 not decided within the limits.
    """
    scenario, source = _scenario(**flags)
    _try_to_write(output)
    question = "outcomes" if outcomes else "exhaustive" if exhaustive else "first drop"
    kept = None
    if checkpoint is not None:
        kept = Checkpoint(checkpoint, scenario, question, checkpoint_every)
    memory = None if max_memory is None else max_memory * 1_000_000
    verdict = _checked(
        scenario, Limits(max_states, max_seconds, memory), exhaustive, outcomes, kept
    )
    trace = None if verdict.witness is None else trace_of(replay(scenario, shown_way(verdict)))
    ends = [trace_of(replay(scenario, outcome.schedule)) for outcome in verdict.outcomes]
    if format == "json":
        return _json(_check_data(verdict, trace, ends), verdict.exit_code, output)
    columns = width or _columns(output)
    if outcomes:
        lines = render.outcome_lines(verdict, ends, columns, source=source)
    else:
        lines = render.verdict_lines(verdict, trace, columns, source=source)
    return Result(tuple(lines), verdict.exit_code, output, ascii)


def _checked(
    scenario: Scenario, limits: Limits, exhaustive: bool, outcomes: bool, kept: Checkpoint | None
) -> Verdict:
    """The verdict, with progress on a terminal, and a checkpoint that is gone when it is complete."""
    explorer = kept.read() if kept is not None else None
    with _Progress(sys.stderr, scenario) as progress:

        def pause(explorer: Explorer) -> None:
            if progress is not None:
                progress(explorer)
            if kept is not None:
                kept.pause(explorer)

        explorer = explorer or Explorer(scenario.threads(), scenario.world())
        verdict = check(
            scenario,
            limits,
            exhaustive=exhaustive,
            outcomes=outcomes,
            explorer=explorer,
            pause=pause,
        )
    if kept is not None:
        if verdict.exit_code == UNKNOWN:
            kept.write(explorer)
        else:
            kept.remove()
    return verdict


def shown_way(verdict: Verdict) -> Schedule:
    """The witness; where SYNs are sent again, with what comes after it."""
    assert verdict.witness is not None
    if not verdict.scenario.retransmit:
        return verdict.witness
    return to_the_end(verdict.scenario, verdict.witness)


def _check_data(verdict: Verdict, trace: Trace | None, ends: list[Trace]) -> dict[str, Any]:
    outcomes = {"outcomes": [outcome_data(end) for end in ends]} if verdict.all_outcomes else {}
    return {
        "schema": CHECK_SCHEMA,
        "verdict": verdict.quantifier.value,
        "bound": verdict.bound,
        "states": verdict.explored.states,
        "complete": verdict.explored.complete,
        "witness": None if trace is None else trace.to_data(),
        **outcomes,
        "scenario": json.loads(verdict.scenario.to_json()),
    }


class _Progress:
    """How far the search is, on one line that is wiped in the end; nothing if nobody looks."""

    def __init__(self, stream: TextIO | None, scenario: Scenario) -> None:
        self._stream = stream
        self._scenario = scenario
        self._began = time.monotonic()
        self._next = self._began + 0.5
        self._shown = False
        self._usual: int | None = None  # how many steps a schedule has
        self._before: int | None = None

    def __enter__(self) -> _Progress | None:
        return self if _is_terminal(self._stream) else None

    def __call__(self, explorer: Explorer) -> None:
        now, found = time.monotonic(), explorer.found
        if self._before is None:
            self._before = len(found.seen)  # those of a checkpoint took no time
        if now >= self._next:
            if not self._shown:
                self._usual = usual_length(self._scenario)
            self._next, self._shown = now + 0.1, True
            rate = (len(found.seen) - self._before) / max(now - self._began, 0.001)
            waiting = len(found.layers[-1]) - found.at + len(found.after)
            steps = f"step {found.depth + 1}"
            if self._usual is not None:
                steps += f" of about {max(self._usual, found.depth + 1)}"
            _say(
                self._stream,
                f"\r\033[K{len(found.seen)} states seen, {waiting} to go on from, "
                f"{rate:.0f}/s, {steps}",
            )

    def __exit__(self, *_: object) -> None:
        if self._shown:
            _say(self._stream, "\r\033[K")


# ── sweep ───────────────────────────────────────────────────────────────────────────────────────


@natmodel.command("sweep", short_help="Check many kernels, rules and numbers of packets at once.")
@click.argument("scenario_file", required=False)
@click.option("--kernel", multiple=True, metavar="KERNELS", help="A, A..B or all.  Repeatable.")
@click.option("--nat", multiple=True, metavar="RULE", help="One of the alternatives.  Repeatable.")
@click.option(
    "--packets", multiple=True, type=int, metavar="N", help="Pods to one server.  Repeatable."
)
@_more_scenario_options
@click.option("--outcomes", is_flag=True, help="Also all of them, with shortest schedules.")
@click.option(
    "--max-states",
    type=click.IntRange(1),
    metavar="N",
    default=MOST_STATES_EACH,
    show_default=True,
    help="Give a cell up after so many.",
)
@click.option("--slice", metavar="I/N", help="Only every Nth cell, from the Ith on.")
@click.option("--keep", metavar="FILE", help="Go on from there; add each answer as it comes.")
@_jobs_option
@click.option("--format", type=click.Choice(["text", "json"]), default="text", help="Of stdout.")
@click.option("-o", "--output", metavar="FILE", help="Write there instead of to stdout.")
def sweep_command(
    scenario_file: str | None,
    kernel: tuple[str, ...],
    nat: tuple[str, ...],
    packets: tuple[int, ...],
    outcomes: bool,
    max_states: int,
    slice: str | None,
    keep: str | None,
    jobs: int | None,
    format: str,
    output: str | None,
    **more: Any,
) -> Result:
    """Check many scenarios: each kernel with each NAT rule and each number of packets.

    Prints for each of them, its cell: the verdict, the steps of a shortest schedule
    that drops a packet, the most packets that one schedule drops, the states, and
    the probability that some packet is dropped if any cpu is as likely to be next.

    \b
    natmodel sweep --kernel all
    natmodel sweep --kernel 4.19.66..5.0.1 --nat masquerade \\
                   --nat 'masquerade random-fully' --packets 2 --packets 3
    natmodel sweep --kernel all --slice 2/8 --keep 2.kept

    The report is the same to the byte however many processes there are.  With
    --keep a sweep that is killed goes on where it was.  docs/cluster.md says how
    to use more than one machine.

    RULE, PACKET and the rest are those of `natmodel check`.

    Exit codes: 0 no packet is dropped in any cell, 1 one is, 2 bad input, 3 some
    cell is not decided.
    """
    from natmodel.cells import USUAL_ASKS, cells_of, slice_of
    from natmodel.sweep import run_here

    _try_to_write(output)
    base = None if scenario_file is None else Scenario.from_file(scenario_file)
    asks = (*USUAL_ASKS, "outcomes") if outcomes else USUAL_ASKS
    cells = cells_of(base, kernels=kernel, nats=nat, numbers=packets, asks=asks, **more)
    cells = cells if slice is None else slice_of(cells, slice)
    with _CellProgress(sys.stderr) as progress:
        report = run_here(
            cells, jobs or _cores(), limits=Limits(max_states), keep=keep, progress=progress
        )
    if format == "json":
        return _json(report.to_data(), report.exit_code, output)
    return Result(tuple(map(Line, report.text().splitlines())), report.exit_code, output)


class _CellProgress:
    """How many cells are done, on one line that is wiped in the end; nothing if nobody looks."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __enter__(self) -> Callable[[int, int], None] | None:
        return self._show if _is_terminal(self._stream) else None

    def _show(self, done: int, of: int) -> None:
        _say(self._stream, f"\r\033[K{done} of {of} cells")

    def __exit__(self, *_: object) -> None:
        if _is_terminal(self._stream):
            _say(self._stream, "\r\033[K")


def _say(stream: TextIO | None, text: str) -> None:
    """A terminal that is gone does not end the work."""
    assert stream is not None
    with suppress(OSError):
        stream.write(text)
        stream.flush()


# ── replay ──────────────────────────────────────────────────────────────────────────────────────


@natmodel.command("replay", short_help="Walk one schedule, step by step.")
@_scenario_options
@click.option("--schedule", required=True, metavar="STEPS", help="Who steps, and what it draws.")
@_output_options
def replay_command(
    schedule: str,
    format: str,
    ascii: bool,
    width: int | None,
    output: str | None,
    **flags: Any,
) -> Result:
    """Walk one schedule and show every step.

    STEPS has a character for each step, which names its cpu.  The values that a
    step draws follow in brackets, long runs are counted, and blanks mean
    nothing.  It may end anywhere.

    \b
    natmodel replay --schedule '00000 111111 0'
    natmodel replay --nat 'masquerade random-fully' --schedule '000[4711]0'
    natmodel replay scenario.toml --schedule '0*26'

    Exit codes: 0 no packet is dropped, 1 a packet is, 2 bad input, or a
    schedule that does not fit.
    """
    scenario, source = _scenario(**flags)
    _try_to_write(output)
    trace = trace_of(replay(scenario, Schedule.parse(schedule)))
    code = 1 if trace.causes else 0
    if format == "json":
        data = {
            "schema": REPLAY_SCHEMA,
            "bound": scenario.bound(),
            "trace": trace.to_data(),
            "scenario": json.loads(scenario.to_json()),
        }
        return _json(data, code, output)
    lines = render.trace_lines(trace, width or _columns(output), source=source)
    return Result(tuple(lines), code, output, ascii)


# ── odds ────────────────────────────────────────────────────────────────────────────────────────


class _Time(click.ParamType):  # type: ignore[type-arg]  # generic in some versions only
    """A length of time, in whatever unit: a decimal that is kept exactly."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if isinstance(value, Fraction):
            return value
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,12})?", value):
            self.fail(f"{value!r} is no decimal of at most 12 digits before and after its point.")
        return Fraction(value)


@natmodel.command("odds", short_help="How probable is a drop, exactly?")
@_scenario_options
@click.option("--window", type=_Time(), metavar="T", help="Packets arrive within this time.")
@click.option("--commit", type=_Time(), metavar="T", help="From choosing to committing.")
@_limit_options
@_output_options
def odds_command(
    window: Fraction | None,
    commit: Fraction | None,
    max_states: int,
    max_seconds: float | None,
    format: str,
    ascii: bool,
    width: int | None,
    output: str | None,
    **flags: Any,
) -> Result:
    """How probable is it that packets are dropped?  Exact, for stated schedulers.

    Random numbers have the kernel's own odds.  Who is next is for the scheduler:

    
    best, worst   who sees everything and wants no drop, or one
    uniform       any CPU that can take a step, each as likely
    full overlap  so, too, but all have chosen before the first commits
    arrivals      packets come at random times within --window, choose at once
                  and commit after --commit, both in the same unit

    
    natmodel odds --nat 'masquerade random-fully'
    natmodel odds --nat 'masquerade random-fully' --window 100 --commit 1.2
    natmodel odds --kernel 4.19.66 --retransmit 1,3,7

    The scenario is written as for `natmodel check`; see its --help.

    Exit codes: 0 no packet is dropped whoever is next, 1 one may be, 2 bad
    input, 3 not decided within the limits.
    """
    scenario, _ = _scenario(**flags)
    _try_to_write(output)
    odds = odds_of(scenario, Limits(max_states, max_seconds), share=_share(window, commit))
    if format == "json":
        return _json(_odds_data(odds), odds.exit_code, output)
    lines = render.odds_lines(odds, width or _columns(output))
    return Result(tuple(lines), odds.exit_code, output, ascii)


def _share(window: Fraction | None, commit: Fraction | None) -> Fraction | None:
    """The time from choosing to committing, as a part of the window."""
    if (window is None) != (commit is None):
        raise BadInput("odds: --window and --commit are given together")
    if window is None or commit is None:
        return None
    if not window > 0 or commit > window:
        raise BadInput("odds: --commit is at most --window, and that is not 0")
    return commit / window


def _odds_data(odds: Odds) -> dict[str, Any]:
    def one(p: Fraction | None) -> dict[str, Any] | None:
        return None if p is None else {"exact": str(p), "value": float(p)}

    distributions = {name: getattr(odds, name) for name in ("uniform", "overlap", "arrivals")}
    delays = None if odds.delays is None else [*odds.delays.items()]
    return {
        "schema": ODDS_SCHEMA,
        "bound": odds.scenario.bound(),
        "complete": odds.complete,
        "states": odds.states,
        "some_dropped": {
            "best": one(odds.best),
            "worst": one(odds.worst),
            **{name: one(1 - d[0]) if d else None for name, d in distributions.items()},
        },
        "dropped": {name: [*map(one, d)] if d else None for name, d in distributions.items()},
        "share": one(odds.share),
        "delays": delays and [{"after_ms": at, **(one(p) or {})} for at, p in delays],
        "scenario": json.loads(odds.scenario.to_json()),
    }


# ── conform, releases ───────────────────────────────────────────────────────────────────────────


@natmodel.command("conform", short_help="Hold the model against recorded kernel runs.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_jobs_option
def conform_command(files: tuple[str, ...], jobs: int | None) -> Result:
    """Play recorded vectors and compare field by field.

    A file, compressed by xz or not, has one vector a line, or port walks or
    hashes as one JSON document.

    Files of live kernels (scenarios.json, fill-*.json, also .xz) are played step
    by step: outcomes, ports and counters must be possible, counts must fit the
    exact odds.

    Prints a table release x kind and the first differences in full; its last
    line is the sum.

    \b
    natmodel conform tests/vectors/*.jsonl.xz tests/vectors/*/*.xz

    Exit codes: 0 all agree, 1 some differ, 2 bad input, 3 some are refused and
    none differs.
    """
    from natmodel.conform import conform_files

    report = conform_files(map(Path, files), jobs or _cores())
    return _text([Line(line) for line in report.text().splitlines()], report.exit_code)


def _cores() -> int:
    """Those that this process may use, where that is known."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@natmodel.command("releases", short_help="The kernels that the model knows; which one is yours.")
@click.argument("rows", nargs=-1, metavar="[A [B]]")
@click.option("--of", "name", metavar="TEXT", help="Which row is the kernel of this `uname`?")
@click.option(
    "--format", type=click.Choice(["text", "markdown"]), default="text", help="Of the table."
)
@click.option(
    "--width", type=click.IntRange(render.MIN_WIDTH, 10_000), metavar="N", help="Columns."
)
def releases_command(
    rows: tuple[str, ...], name: str | None, format: str, width: int | None
) -> Result:
    """The kernels that the model knows, in what they differ, and which one is yours.

    Without arguments a table: a row for each behaviour generation, a letter for
    each generation of a part of it.  With one name, that row; with two, what they
    differ in, with the source of functions side by side.  A name is a row's, or
    anything that `uname` or /proc/version says, if that names one row.

    \b
    natmodel releases
    natmodel releases 4.19.66 5.0.1
    natmodel releases --of "$(uname -a)"
    natmodel releases --of 6.1.0-56

    Exit codes: 0; 2 bad input; with --of, 3 if the name leaves the row open.
    """
    from natmodel import release_text

    columns = width or _columns(None)
    if name is not None:
        return _which_row(name, columns)
    found = [RELEASES[row_of(row)] for row in rows]
    if len(found) > 2:
        raise BadInput(f"releases: two can be compared, not {len(found)}")
    everything = tuple(RELEASES.values())
    if format == "markdown":
        text = release_text.markdown(everything, release_text.notes_of(everything, MODULES))
        return _text(map(Line, text.splitlines()))
    if not found:
        return _text(map(Line, release_text.table_lines(everything, columns)))
    if len(found) == 1:
        return _text(map(Line, release_text.row_lines(found[0], columns)))
    return _text(map(Line, release_text.difference_lines(found[0], found[1], columns)))


def _which_row(name: str, columns: int) -> Result:
    """What a kernel's name tells."""
    answer = kernel_rows(name)
    covers = {k.name: k.covers for k in RELEASES.values()}
    lines = answer_text(answer, columns, covers).rstrip().splitlines()
    return _text(map(Line, lines), 0 if answer.certain else UNKNOWN)


# ── what commands have in common ────────────────────────────────────────────────────────────────


def _scenario(scenario_file: str | None, **flags: Any) -> tuple[Scenario, str | None]:
    """The scenario, and its file's name if it is just what the file says."""
    base = None if scenario_file is None else Scenario.from_file(scenario_file)
    overridden = any(value not in (None, ()) for value in flags.values())
    source = None if overridden or scenario_file is None else _source(scenario_file)
    return Scenario.from_arguments(**flags, base=base), source


def _source(name: str) -> str | None:
    """What a command may call the file; None if it will not be there again, as /dev/stdin."""
    passing = os.path.abspath(name).startswith(("/dev/", "/proc/"))
    if passing or not os.path.isfile(name):
        return None
    return f"./{name}" if name.startswith("-") else name


def _text(lines: Iterable[Line], exit_code: int = 0) -> Result:
    return Result(tuple(lines), exit_code)


def _json(data: dict[str, Any], exit_code: int, output: str | None) -> Result:
    text = json.dumps(data, indent=2)
    return Result(tuple(map(Line, text.splitlines())), exit_code, output, ascii=True)


def _columns(output: str | None) -> int:
    """The terminal's width if it is a wide one, else what everybody has."""
    if output is not None or not _is_terminal(sys.stdout):
        return render.USUAL_WIDTH
    return max(render.USUAL_WIDTH, shutil.get_terminal_size().columns)


def _is_terminal(stream: TextIO | None) -> bool:
    """Python has no stream where the command was given none."""
    return stream is not None and stream.isatty()


def _try_to_write(output: str | None) -> None:
    """Complain before the work is done, not after."""
    if output is not None:
        _write_file(output, "a", "")


def _write_file(name: str, mode: str, text: str) -> None:
    try:
        with open(name, mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror or error}") from None
    except ValueError as error:  # a name with a NUL in it, or with half a character
        raise BadInput(f"{name!r}: {error}") from None


# ── writing ─────────────────────────────────────────────────────────────────────────────────────


def _write(result: Result) -> None:
    if result.output is not None:
        _write_file(result.output, "w", render.plain(result.lines, ascii=result.ascii))
        return
    _must_be_open()
    if _is_terminal(sys.stdout) and not os.environ.get("NO_COLOR"):
        _write_styled(result)
    else:
        text = render.plain(result.lines, ascii=result.ascii or not _can_draw(sys.stdout))
        _write_text(sys.stdout, text)
    sys.stdout.flush()


def _must_be_open() -> None:
    """Raises OSError if there is no stdout."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, "stdout is closed")


def _can_draw(stream: TextIO) -> bool:
    """Has the stream's encoding the characters that lines are drawn with?"""
    try:
        render.DRAWN.encode(stream.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


def _write_text(stream: TextIO, text: str) -> None:
    """A file's name may be no text at all; it is still shown."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _write_styled(result: Result) -> None:
    """The same lines, dim or bright."""
    from rich.console import Console
    from rich.text import Text

    console = Console(soft_wrap=True, highlight=False)
    ascii = result.ascii or not _can_draw(sys.stdout)
    for line in result.lines:
        text = render.plain([line], ascii=ascii).removesuffix("\n")
        console.print(Text(text, style=line.style))


# ── main ────────────────────────────────────────────────────────────────────────────────────────


def main(args: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    try:
        result = natmodel.main(
            None if args is None else list(args), prog_name="natmodel", standalone_mode=False
        )
        if isinstance(result, Result):
            _write(result)
            return result.exit_code
        _must_be_open()  # click, which has written a help text, would not mind
        return result if isinstance(result, int) else 0
    except BadInput as refused:
        return _complain(str(refused))
    except click.ClickException as refused:
        context = getattr(refused, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context is not None else ""
        return _complain(refused.format_message().rstrip(".") + hint)
    except (
        BrokenPipeError,
        SystemExit,
    ):  # click, writing a help text, turns the one into the other
        _give_up(sys.stdout)
        return BROKEN_PIPE
    except OSError as error:
        _give_up(sys.stdout)
        return _complain(f"cannot write: {error.strerror or error}")
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED


def _complain(text: str) -> int:
    """One line, whatever the text."""
    line = " ".join(text.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if sys.stderr is not None:
        try:
            _write_text(sys.stderr, f"natmodel: {line}\n")
            sys.stderr.flush()
        except OSError:  # nobody can be told; the exit code still says it
            _give_up(sys.stderr)
    return BAD_INPUT


def _give_up(stream: TextIO | None) -> None:
    """What is left in it goes nowhere; Python would complain when it flushes the stream at its end."""
    with suppress(OSError, ValueError):
        if stream is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
