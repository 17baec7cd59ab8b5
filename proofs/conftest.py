# SPDX-License-Identifier: GPL-2.0-or-later
"""Collect theorems as tests, one for each release, and print the list of them at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from natmodel.releases import RELEASES
from proofs.theorem import Theorem

PROVED: list[tuple[str, Theorem, str, str]] = []


def pytest_pycollect_makeitem(
    collector: pytest.Module, name: str, obj: object
) -> list[pytest.Function] | None:
    """A Theorem in a module is one test for each of its releases; its name is the statement."""
    if not isinstance(obj, Theorem):
        return None
    return [
        pytest.Function.from_parent(
            collector, name=f"{obj.statement} [{release}]", callobj=_proof(collector, obj, release)
        )
        for release in obj.releases
    ]


def _proof(module: pytest.Module, theorem: Theorem, release: str) -> Callable[[], None]:
    def prove() -> None:
        evidence = theorem.evidence(RELEASES[release])
        PROVED.append((module.path.stem[2:], theorem, release, evidence))

    return prove


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in lines():
        terminalreporter.write_line(line)


def lines() -> Iterator[str]:
    """Each theorem with its bound, and its evidence for each release."""
    chapter = shown = None
    for name, theorem, release, evidence in PROVED:
        if name != chapter:
            chapter = name
            yield f"\n{name}"
        if theorem is not shown:
            shown = theorem
            yield f"  {theorem.quantifier.value:<9}  {theorem.statement}"
            yield f"             {theorem.bound}"
        yield f"             {release:<9}  {evidence}"
    if PROVED:
        number = len({id(theorem) for _, theorem, _, _ in PROVED})
        yield f"\n{number} theorems, {len(RELEASES)} releases"
