# SPDX-License-Identifier: GPL-2.0-or-later
"""Good JSON made bad: one value anywhere is dropped or replaced by one of another kind."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

JUNK: st.SearchStrategy[object] = st.sampled_from(
    [None, True, -1, 0, 1, 70000, 2**32, 2**70, 0.5, "", "A", "10.0.0.1", "::1", "\ud800", [], {}]
)


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in a JSON value."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


@st.composite
def spoiled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    """`value`, in one place not as it should be."""
    value = deepcopy(value)
    container, key = draw(st.sampled_from(list(places(value))))
    if draw(st.booleans()):
        container[key] = draw(JUNK)
    else:
        del container[key]
    return value
