# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the model against what live kernels did, observation by observation.

An observation is one step of a scenario on one kernel, the endpoint patterns of a scenario on one kernel,
or one experiment of a fill file.  A kernel that may be either of two rows is held against both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeAlias, TypeGuard

import attrs

from natmodel import live_fill
from natmodel.chances import FALSE_ALARM, Hits, counts_of, share
from natmodel.live import (
    LIVE_ROWS,
    LiveFill,
    LiveScenario,
    Seen,
    StepSeen,
    Trials,
    read_fill,
    read_scenarios,
)
from natmodel.live_outcomes import Outcomes, Play, StepOutcomes
from natmodel.releases import RELEASES
from natmodel.router import CannotPlay

# What of an observation is compared.
CHECKS: Final = ("class", "count", "port", "counter", "pattern")

Document: TypeAlias = Mapping[str, object]


@attrs.frozen
class Wrong:
    """In what an observation differs: which check, what the kernel did, what the model says."""

    check: str
    seen: str
    model: str


@attrs.define
class Observation:
    """One observation on one row: the tests of its counts, and what is wrong with it for certain."""

    kernel: str
    row: str
    kind: str
    name: str
    where: str
    checks: tuple[str, ...] = ()
    refused: str | None = None
    tests: list[Hits] = attrs.field(factory=list)
    wrong: list[Wrong] = attrs.field(factory=list)

    @property
    def played_as(self) -> str:
        return f"{self.kernel} as {self.row}"

    @property
    def outcome(self) -> str:
        if self.refused is not None:
            return "refused"
        return "differ" if self.wrong else "agree"


def is_live(document: object) -> TypeGuard[Document]:
    """Is this a file of scenarios, or a fill file?"""
    if not isinstance(document, dict):
        return False
    return "fill" in document or any(
        isinstance(value, dict) and "kernels" in value for value in document.values()
    )


def observe(documents: Iterable[tuple[Document, str]]) -> tuple[list[Observation], list[str]]:
    """All observations of these documents (with their names), judged, and what to say of the tests.

    Raises BadInput.
    """
    observations: list[Observation] = []
    for document, where in documents:
        if "fill" in document:
            observations += _of_fill(read_fill(document, where))
        else:
            for scenario in read_scenarios(document, where):
                observations += _of_scenario(scenario)
    judge(observations)
    return observations, list(notes(observations))


def wrong_lines(o: Observation) -> Iterator[str]:
    """In what an observation differs, for a report."""
    yield f"{o.name} differs on {o.played_as} ({o.where})"
    for wrong in o.wrong:
        yield f"  {wrong.check}"
        yield f"    expected  {wrong.seen}"
        yield f"    got       {wrong.model}"


def judge(observations: Iterable[Observation]) -> None:
    """Reject counts that are too rare; how rare that is depends on how many tests there are."""
    observations = list(observations)
    each = share(sum(len(o.tests) for o in observations))
    for o in observations:
        for test in o.tests:
            tail = test.tail()
            if tail < each:
                seen = f"{test.what}: {test.hits} of {test.tries}"
                rare = len(str(int(1 / tail))) - 1
                o.wrong.append(Wrong("count", seen, f"{_odds(test)}; that is once in 10^{rare}"))


def _odds(test: Hits) -> str:
    low, high = float(test.low), float(test.high)
    return f"odds {low:.6g}" if low == high else f"odds {low:.6g} to {high:.6g}"


def notes(observations: Iterable[Observation]) -> Iterator[str]:
    """Check by check, and how the false-alarm rate is split."""
    observations = list(observations)
    tally: Counter[tuple[str, str]] = Counter()
    for o in observations:
        bad = {wrong.check for wrong in o.wrong}
        for check in o.checks:
            outcome = "refused" if o.refused else "differ" if check in bad else "agree"
            tally[check, outcome] += 1
    for check in CHECKS:
        if any(tally[check, outcome] for outcome in ("agree", "differ", "refused")):
            told = ", ".join(f"{tally[check, o]} {o}" for o in ("agree", "differ", "refused"))
            yield f"live {check}: {told}"
    tests = [test for o in observations for test in o.tests]
    if tests:
        tried = sum(not test.is_decided() for test in tests)
        yield (
            f"live counts: {tried} exact two-sided binomial tests, each at {share(tried)}: "
            f"a right model is blamed with probability at most {FALSE_ALARM}"
        )


# ── scenarios ───────────────────────────────────────────────────────────────────────────────────


def _of_scenario(scenario: LiveScenario) -> Iterator[Observation]:
    for kernel, seen in scenario.seen:
        for row in LIVE_ROWS[kernel]:
            try:
                if scenario.refused is not None:
                    raise CannotPlay(scenario.refused)
                told = outcomes(row, attrs.evolve(scenario, seen=(), where=""))
            except CannotPlay as why:
                for o in _blank(scenario, kernel, row, seen):
                    yield attrs.evolve(o, refused=str(why))
                continue
            yield from compare(_blank(scenario, kernel, row, seen), seen, told)


@lru_cache(maxsize=1024)
def outcomes(row: str, scenario: LiveScenario) -> Outcomes:
    """What the scenario can come out as on this row."""
    return Play(RELEASES[row], scenario).outcomes()


def _blank(scenario: LiveScenario, kernel: str, row: str, seen: Seen) -> list[Observation]:
    """One observation for each step, and one for the patterns."""

    def blank(kind: str, name: str, *checks: str) -> Observation:
        return Observation(kernel, row, kind, f"{scenario.name}{name}", scenario.where, checks)

    steps = [
        blank("step", f", step {n}", "class", "count", "port", "counter")
        for n in range(len(seen.steps))
    ]
    return [*steps, blank("endpoints", "", "count", "pattern")]


def compare(observations: list[Observation], seen: Seen, told: Outcomes) -> list[Observation]:
    """Fill in what is wrong, and the tests."""
    for n, (o, step, outcome) in enumerate(
        zip(observations[:-1], seen.steps, told.steps, strict=True)
    ):
        o.wrong += _wrong_classes(step, outcome)
        o.wrong += _wrong_counters(step, outcome)
        o.wrong += _wrong_ports(step.ports, outcome, outcome.ports, "port")
        if seen.dports is not None:
            o.wrong += _wrong_ports(seen.dports[n], outcome, outcome.dports, "destination port")
        o.tests += counts_of("class", seen.reps, dict(step.classes), outcome.classes)
    last = observations[-1]
    last.wrong += _wrong_patterns(seen, told)
    last.tests += counts_of("pattern", seen.reps, dict(seen.endpoints), told.patterns)
    return observations


def _wrong_classes(step: StepSeen, outcome: StepOutcomes) -> Iterator[Wrong]:
    for class_, n in step.classes:
        if class_ not in outcome.classes:
            yield Wrong("class", f"{class_}, {n} times", " or ".join(sorted(outcome.classes)))


def _wrong_counters(step: StepSeen, outcome: StepOutcomes) -> Iterator[Wrong]:
    """The counters' sums over all runs, given how often each class was seen."""
    told = dict(step.counters)
    ranges = [(n, outcome.counters.get(class_)) for class_, n in step.classes]
    for name in sorted({*told, *(name for _, r in ranges if r for name in r)}):
        spans = [(n, r.get(name, (0, 0))) for n, r in ranges if r is not None]
        low, high = (sum(n * span[end] for n, span in spans) for end in (0, 1))
        if not low <= told.get(name, 0) <= high:
            model = str(low) if low == high else f"{low} to {high}"
            yield Wrong("counter", f"{name} +{told.get(name, 0)}", f"+{model}")


def _wrong_ports(
    ports: Iterable[int], outcome: StepOutcomes, allowed: set[int], what: str
) -> Iterator[Wrong]:
    for port in ports:
        if not outcome.allows(port, allowed):
            yield Wrong("port", f"{what} {port}", "not among those that can be drawn")


def _wrong_patterns(seen: Seen, told: Outcomes) -> Iterator[Wrong]:
    for pattern, n in seen.endpoints:
        if pattern not in told.patterns:
            yield Wrong("pattern", f"{pattern}, {n} times", " or ".join(sorted(told.patterns)))
    for n in sorted((seen.addresses or frozenset()) - told.addresses):
        yield Wrong("pattern", f"{n} source addresses", f"{sorted(told.addresses)}")


# ── fill files ──────────────────────────────────────────────────────────────────────────────────


def _of_fill(fill: LiveFill) -> Iterator[Observation]:
    for row in fill.rows:
        for n, trials in enumerate(fill.trials):
            yield _of_trials(fill, row, n, trials)


def _of_trials(fill: LiveFill, row: str, n: int, trials: Trials) -> Observation:
    checks = ("port", "counter") if trials.kind == "remap_exhaust" else ("count", "counter")
    o = Observation(fill.kernel, row, trials.kind, f"fill[{n}]", fill.where, checks)
    try:
        o.tests, wrong = live_fill.counts(RELEASES[row], trials)
    except CannotPlay as why:
        o.refused = str(why)
        return o
    o.wrong += [Wrong(checks[0], text, "not what the model says") for text in wrong]
    return o
