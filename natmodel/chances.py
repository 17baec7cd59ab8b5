# SPDX-License-Identifier: GPL-2.0-or-later
"""Do counts fit exact probabilities?  Binomial tails as fractions, and one false-alarm rate for all.

A test is two-sided: a count is too rare if twice its smaller tail is below the test's share.  Every test
has the same share of the whole (Bonferroni), so whatever depends on what, some test raises a false alarm
with at most the whole probability.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import comb
from typing import Final

import attrs

# The probability that a model that is right is blamed by some test at all.
FALSE_ALARM: Final = Fraction(1, 10**6)


@attrs.frozen
class Count:
    """`hits` in `tries`; each is one with a probability from `low` to `high`, the same for all."""

    what: str
    tries: int
    hits: int
    low: Fraction
    high: Fraction

    def is_decided(self) -> bool:
        """Nothing is left to chance, so it is no test."""
        return self.low == self.high and self.low in (0, 1)

    def is_impossible(self) -> bool:
        return (self.high == 0 and self.hits > 0) or (self.low == 1 and self.hits < self.tries)

    def tail(self) -> Fraction:
        """Twice the smaller tail, under the probability that suits the count best."""
        below = at_most(self.tries, self.hits, self.low)
        above = at_most(self.tries, self.tries - self.hits, 1 - self.high)
        return min(Fraction(1), 2 * min(below, above))


def at_most(n: int, x: int, p: Fraction) -> Fraction:
    """P(X <= x) where X counts hits in n tries of probability p."""
    a, b = p.numerator, p.denominator
    ways = sum(comb(n, i) * a**i * (b - a) ** (n - i) for i in range(x + 1))
    return Fraction(ways, b**n)


def counts_of(
    what: str, tries: int, seen: Mapping[str, int], odds: Mapping[str, Fraction]
) -> list[Count]:
    """The tests of a variable: one for each value that is left to chance; of two, one is enough."""
    open_values = [value for value, p in odds.items() if 0 < p < 1]
    tested = open_values[1:] if len(open_values) == 2 else open_values
    return [
        Count(f"{what} {value}", tries, seen.get(value, 0), odds[value], odds[value])
        for value in tested
    ]


def share(tests: int) -> Fraction:
    """Each test's part of FALSE_ALARM."""
    return FALSE_ALARM / max(tests, 1)


def false_alarm(tests: Iterable[tuple[int, Fraction]], each: Fraction) -> Fraction:
    """The sum over tests (tries, probability) of the probability to be rejected with this share."""
    total = Fraction(0)
    for tries, p in tests:
        for hits in range(tries + 1):
            if Count("", tries, hits, p, p).tail() < each:
                total += comb(tries, hits) * p**hits * (1 - p) ** (tries - hits)
    return total
