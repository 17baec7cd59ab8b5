# SPDX-License-Identifier: GPL-2.0-or-later
"""How likely are drops among packets that start at once?  Closed forms for an empty window, exact.

`packets` CPUs each draw a *uniform* start 0..ports-1 in one and the same *empty* window of `ports` ports,
probe port after port (mod `ports`) until one is free, and confirm it: one step to draw, one for each
probe, one to confirm.  In `drops` every packet that is not through is equally likely to take the next
step; in `overlapped_drops` everybody chooses before anybody confirms.

**No kernel draws like this where 65,536 % ports is not 0.**  Its start is a u16, so some ports are
likelier than others (1024 to 2047 twice as likely, on the default range of 64,512), and its walk wraps at
65,536 instead of at `ports`.  These closed forms do not apply to a row of the releases table without
correction.  For full overlap there is one: `u16_overlapped_drops`.

docs/odds.md derives what is computed here, lemma by lemma.  All odds are fractions.  What the method does
not cover raises BadInput.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from math import comb, factorial, lcm, perm, prod
from typing import Final, TypeAlias

from natmodel.errors import BadInput

# The work grows about twelvefold with each packet: 0.4 s of CPU for 6, 5 s for 7; for 8 a minute, and
# 440 MB of memory.
MOST_PACKETS: Final = 8

_U16: Final = 65536

# Odds (or ways) of no drop, of one, of two, ...
_ByDrops: TypeAlias = tuple[Fraction, ...]

# What can still matter of a group: the ports taken, as bits, and what each packet that is not through
# does next, sorted: (_DRAW, start), (_PROBE, port) or (_CONFIRM, port).  Who is not there any more and
# has no port was dropped, so drops need not be counted on the way.
_Next: TypeAlias = tuple[int, int]
_Group: TypeAlias = tuple[int, tuple[_Next, ...]]
_DRAW: Final = 0
_PROBE: Final = 1
_CONFIRM: Final = 2


# ── every packet that is not through is equally likely to take the next step ────────────────────


def drop_odds(packets: int, ports: int) -> Fraction:
    """P(at least one drop), under `drops`' assumptions and with its errors.

    >>> drop_odds(2, 4)
    Fraction(3, 32)
    """
    return 1 - drops(packets, ports)[0]


def drops(packets: int, ports: int) -> dict[int, Fraction]:
    """P(so many drops), for 0 to packets - 1 of them.

    >>> drops(2, 2)
    {0: Fraction(13, 16), 1: Fraction(3, 16)}

    Raises BadInput for less than one packet or port, more packets than ports (a walk may then find no
    port, which the closed form does not cover), or more packets than MOST_PACKETS.
    """
    _at_least_one(packets, ports)
    if packets > ports:
        raise BadInput(f"{packets} packets, {ports} ports: no closed form, a walk may find no port")
    if packets > MOST_PACKETS:
        raise BadInput(f"{packets} packets: computed for up to {MOST_PACKETS} only")
    total = [Fraction(0)] * packets
    for sizes in _partitions(packets, packets):
        ways = _ways_to_group(sizes) * _ways_to_place(packets, ports, len(sizes))
        for n, odds in enumerate(_of_groups(sizes)):
            total[n] += ways * odds
    return {n: odds / ports**packets for n, odds in enumerate(total)}


def _partitions(n: int, most: int) -> Iterator[tuple[int, ...]]:
    """The ways to write n as a sum of parts of at most `most`, the greatest first."""
    if n == 0:
        yield ()
    for part in range(min(n, most), 0, -1):
        for rest in _partitions(n - part, part):
            yield (part, *rest)


def _ways_to_group(sizes: tuple[int, ...]) -> int:
    """The ways to divide packets, which are told apart, into groups of these sizes."""
    within = prod(factorial(size) for size in sizes)
    same_size = prod(factorial(n) for n in Counter(sizes).values())
    return factorial(sum(sizes)) // (within * same_size)


def _ways_to_place(packets: int, ports: int, groups: int) -> int:
    """The ways to lay the groups' stretches around the window: one somewhere, the others in any order."""
    return ports * perm(ports - packets + groups - 1, groups - 1)


def _of_groups(sizes: tuple[int, ...]) -> _ByDrops:
    """`_of_group` of all groups together: they are independent, so ways multiply and drops add up."""
    total: _ByDrops = (Fraction(1),)
    for size in sizes:
        group = _of_group(size)
        sums = [Fraction(0)] * (len(total) + size - 1)
        for a, some in enumerate(total):
            for b, more in enumerate(group):
                sums[a + b] += some * more
        total = tuple(sums)
    return total


@cache
def _of_group(size: int) -> _ByDrops:
    """The ways in which a group of packets can start, each times the odds of no drop, one, two, ...

    Forward over what can happen, step by step.  One of k packets takes the next step, so weights are
    divided by k; they are kept whole by multiplying with `scale` at every step instead.
    """
    scale = lcm(*range(1, size + 1))
    found = [Fraction(0)] * size
    now: dict[_Group, int] = {
        (0, tuple((_DRAW, start) for start in starts)): ways for starts, ways in _starts(size)
    }
    steps = 0
    while now:
        later: defaultdict[_Group, int] = defaultdict(int)
        for (taken, packets), weight in now.items():
            if not packets:
                found[size - taken.bit_count()] += Fraction(weight, scale**steps)
            for packet, n in Counter(packets).items():
                rest = list(packets)
                rest.remove(packet)
                later[_stepped(taken, rest, packet)] += weight * n * (scale // len(packets))
        now = later
        steps += 1
    return tuple(found)


def _stepped(taken: int, rest: list[_Next], packet: _Next) -> _Group:
    """The group after this packet has taken its step."""
    doing, port = packet
    if doing == _CONFIRM:
        return taken | 1 << port, tuple(rest)
    if doing == _DRAW:
        rest.append((_PROBE, port))
    elif taken >> port & 1:
        rest.append((_PROBE, port + 1))
    else:
        rest.append((_CONFIRM, port))
    return taken, tuple(sorted(rest))


def _starts(size: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """The sorted starts by which packets are one group, and the ways to hand them out.

    These are the prime parking functions: of every stretch 0..j that is not the whole, at least j + 2
    packets start in it.
    """

    def longer(starts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(starts) == size:
            yield starts
            return
        for start in range(starts[-1], len(starts)):
            yield from longer((*starts, start))

    for starts in longer((0,)):
        alike = prod(factorial(n) for n in Counter(starts).values())
        yield starts, factorial(size) // alike


# ── everybody chooses before anybody confirms ───────────────────────────────────────────────────


def overlapped_drop_odds(packets: int, ports: int) -> Fraction:
    """P(at least one drop), under `overlapped_drops`' assumptions and with its errors.

    >>> overlapped_drop_odds(2, 4)
    Fraction(1, 4)
    """
    return 1 - overlapped_drops(packets, ports)[0]


def overlapped_drops(packets: int, ports: int) -> dict[int, Fraction]:
    """P(so many drops), for 0 to packets - 1 of them, where nobody sees anybody.

    Everybody takes the port of its start; of those with one port, all but one are dropped.  So there may
    be more packets than ports.

    >>> overlapped_drops(3, 2)
    {0: Fraction(0, 1), 1: Fraction(3, 4), 2: Fraction(1, 4)}

    Raises BadInput for less than one packet or port.
    """
    _at_least_one(packets, ports)
    return {
        n: Fraction(_surjections(packets, packets - n) * comb(ports, packets - n), ports**packets)
        for n in range(packets)
    }


def u16_overlapped_drops(packets: int, ports: int) -> dict[int, Fraction]:
    """`overlapped_drops` for starts that are a u16 modulo `ports`, as a kernel's random ones are.

    So this one is exact for a kernel, too, wherever everybody draws, the window is empty and all overlap.

    >>> u16_overlapped_drops(2, 64512)[1] == Fraction(67584, 2**32)
    True

    Raises BadInput for less than one packet or port, or more than 65,536 ports.
    """
    _at_least_one(packets, ports)
    if ports > _U16:
        raise BadInput(f"{ports} ports: a u16 names {_U16:,} at most")
    each, likelier = divmod(_U16, ports)  # so many ports come from one value more than the others
    ways = [0] * packets
    for n in range(packets + 1):  # packets that start in a likelier port
        starts = comb(packets, n) * (each + 1) ** n * each ** (packets - n)
        for a in range(n + 1):  # different ports of theirs
            some = starts * comb(likelier, a) * _surjections(n, a)
            for b in range(packets - n + 1):  # and of the others
                if a + b:
                    more = comb(ports - likelier, b) * _surjections(packets - n, b)
                    ways[packets - a - b] += some * more
    return {n: Fraction(found, _U16**packets) for n, found in enumerate(ways)}


def _surjections(n: int, m: int) -> int:
    """The ways in which n packets can take m ports so that none of the ports is left out."""
    return sum((-1) ** left * comb(m, left) * (m - left) ** n for left in range(m + 1))


def _at_least_one(packets: int, ports: int) -> None:
    if packets < 1 or ports < 1:
        raise BadInput(f"{packets} packets, {ports} ports: at least one of each is needed")
