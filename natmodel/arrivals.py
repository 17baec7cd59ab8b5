# SPDX-License-Identifier: GPL-2.0-or-later
"""How likely do packets overlap that arrive at random times?  A timing model of two parameters, exact.

n packets arrive independently and uniformly within a window of length W.  Each chooses its port when it
arrives, and commits it a time c later, always the same.  Choosing takes no time, so a packet sees exactly
those that have committed by its arrival.  Only the ratio `share` = c/W matters.

A pattern says, for each packet in the order of arrival, how many had committed before it chose.  They
commit in the order in which they arrived, so these are the first ones, and the pattern is all that
choosing can depend on: (0, 0, 0) is full overlap of three, (0, 1, 2) none at all.

This is a model of time, not of a kernel: a real c is not always the same.  docs/odds.md derives what is
computed here, and says where the race on a live kernel fits it and where it does not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import comb
from typing import Final, TypeAlias

from natmodel.errors import BadInput

# The work grows about tenfold with each packet: 0.1 s of CPU for 6, 1 s for 7.
MOST_PACKETS: Final = 7

# For each packet in the order of arrival: how many had committed before it chose.
Pattern: TypeAlias = tuple[int, ...]

# Time is cut into cells of length c; packets are ranked 0 to n - 1 by their places within their cells.
# How they are spread over cells, as far as it matters: how many cells have packets, between how many of
# these and the next one there are empty cells, and the highest rank in the last one.
_Spread: TypeAlias = tuple[int, int, int]


def overlap(share: Fraction | int) -> Fraction:
    """P(two packets overlap): neither sees the other, as they arrive less than c = share * W apart.

    >>> overlap(Fraction(1, 10))
    Fraction(19, 100)

    Raises BadInput for a share below 0 or above 1.
    """
    return 1 - (1 - _checked(share)) ** 2


def overlap_apart(share: Fraction | int, apart: Fraction | int) -> Fraction:
    """P(two packets overlap) if the second's window of length W begins apart * W after the first's.

    >>> overlap_apart(Fraction(1, 10), 0), overlap_apart(Fraction(1, 10), Fraction(1, 2))
    (Fraction(19, 100), Fraction(1, 10))

    For sweeps over a fixed delay, of which W is the jitter.  So c may be longer than W: any share of at
    least 0 goes.  Raises BadInput for one below.
    """
    if share < 0:
        raise BadInput(f"share {share}: the time from choosing to committing is at least 0")
    share, apart = Fraction(share), Fraction(apart)
    return _earlier(share - apart) - _earlier(-share - apart)


def _earlier(by: Fraction) -> Fraction:
    """P(V - U <= by), for U and V uniform between 0 and 1."""
    by = min(max(by, Fraction(-1)), Fraction(1))
    return (1 + by) ** 2 / 2 if by < 0 else 1 - (1 - by) ** 2 / 2


def patterns(packets: int, share: Fraction | int) -> dict[Pattern, Fraction]:
    """The odds of each pattern that can happen at this share = c/W; they sum to 1.

    >>> patterns(2, Fraction(1, 10))
    {(0, 0): Fraction(19, 100), (0, 1): Fraction(81, 100)}

    Raises BadInput for a share below 0 or above 1, and for less than one packet or more than
    MOST_PACKETS.
    """
    share = _checked(share)
    if not 1 <= packets <= MOST_PACKETS:
        raise BadInput(f"{packets} packets: computed for 1 to {MOST_PACKETS}")
    if share == 0:
        return {tuple(range(packets)): Fraction(1)}
    odds: defaultdict[Pattern, Fraction] = defaultdict(Fraction)
    for (pattern, spread), ways in sorted(_later(tuple(range(packets)), (), 0).items()):
        odds[pattern] += ways * _volume(spread, packets, share)
    return {pattern: p for pattern, p in odds.items() if p}


def _checked(share: Fraction | int) -> Fraction:
    if not 0 <= share <= 1:
        raise BadInput(
            f"share {share}: the time from choosing to committing is 0 to 1 of the window"
        )
    return Fraction(share)


def _volume(spread: _Spread, packets: int, share: Fraction) -> Fraction:
    """P(the packets lie in cells as one of the ways of this spread says, their ranks being given).

    The window is `whole` cells and a `part` of one more, which the packets of a cell are in if the last
    of them is: if that many packets, and its own, have their place within a cell before `part`.
    """
    cells, gaps, top = spread
    length = 1 / share
    whole = length.numerator // length.denominator
    part = length - whole
    free = whole - cells + 1  # empty ones, where the last cell with packets is the partial one
    if free < 0:
        return Fraction(0)
    reach = sum(
        comb(packets, n) * part**n * (1 - part) ** (packets - n)
        for n in range(top + 1, packets + 1)
    )
    return (comb(free, gaps + 1) + reach * comb(free, gaps)) / length**packets


@cache
def _later(
    left: tuple[int, ...], last: tuple[int, ...], before: int
) -> Counter[tuple[Pattern, _Spread]]:
    """The ways to spread the ranks that are left over cells after the one that has the ranks `last`.

    `before` is how many packets are in earlier cells.  Who is in a cell sees all who are two cells back
    or more, and of the cell before those of lower rank: they are a whole cell's length back.
    """
    if not left:
        return Counter({((), (0, 0, last[-1])): 1})
    found: Counter[tuple[Pattern, _Spread]] = Counter()
    for n in range(1, len(left) + 1):
        for cell in combinations(left, n):
            rest = tuple(rank for rank in left if rank not in cell)
            after = _later(rest, cell, before + len(last))
            for gap in (0, 1) if last else (0,):
                seen = tuple(before + (len(last) if gap else _below(rank, last)) for rank in cell)
                for (pattern, (cells, gaps, top)), ways in after.items():
                    found[seen + pattern, (cells + 1, gaps + gap, top)] += ways
    return found


def _below(rank: int, others: tuple[int, ...]) -> int:
    return sum(other < rank for other in others)
