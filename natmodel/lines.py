# SPDX-License-Identifier: GPL-2.0-or-later
"""Which release has which change, and so which row of the releases table it can be.

Data, with its evidence: the trees that were read (TREES), and what differs between their rows (CHANGES):
in which mainline release each change came, and at which level of which stable series it was backported.
A release between two trees has a row's behaviour if it has that row's changes.  Where the level of a
backport is not known, or where a release has some of the changes that part two rows, that is said.

Rows go by their names here; the rows themselves are in natmodel/releases.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from itertools import product
from typing import Final, TypeAlias

import attrs

from natmodel.errors import BadInput

Series: TypeAlias = tuple[int, ...]

_VERSION: Final = re.compile(r"(2\.6\.\d+|\d+\.\d+)(?:\.(\d+))?(?:-rc(\d+))?")

# The last series of each line before the number in front changed.
_LAST: Final[dict[Series, int]] = {(2, 6): 39, (3,): 19, (4,): 20, (5,): 19, (6,): 19, (7,): 3}
OLDEST: Final[Series] = (2, 6, 24)
NEWEST: Final[Series] = (7, 3)


def dotted(series: Series) -> str:
    return ".".join(map(str, series))


def _all_series() -> Iterator[Series]:
    for line, last in _LAST.items():
        first = OLDEST[2] if line == OLDEST[:2] else 0
        yield from ((*line, n) for n in range(first, last + 1))


SERIES: Final = tuple(_all_series())
_PLACE: Final = {series: n for n, series in enumerate(SERIES)}


def check_series(series: Series) -> None:
    """Refuse what is no Linux, and what nobody has looked at."""
    if series in _PLACE:
        return
    if series < OLDEST:
        raise BadInput(f"Linux {dotted(series)} is older than {dotted(OLDEST)}, the oldest known")
    if series > NEWEST:
        raise BadInput(f"Linux {dotted(series)} is newer than {dotted(NEWEST)}, the newest known")
    raise BadInput(f"there was no Linux {dotted(series)}")


@attrs.frozen(cache_hash=True)
class Version:
    """A release of kernel.org: its series, its stable level (0: the mainline release), its -rc."""

    series: Series
    level: int = 0
    rc: int | None = None

    def __str__(self) -> str:
        level = f".{self.level}" if self.level or self.series[:2] != (2, 6) else ""
        return dotted(self.series) + level + ("" if self.rc is None else f"-rc{self.rc}")

    @classmethod
    def of(cls, text: str) -> Version:
        """Of a plain version, as rows and trees are named."""
        found = _VERSION.fullmatch(text)
        if found is None:
            raise BadInput(f"{text!r} is no version of Linux")
        series, level, rc = found.groups()
        return cls(
            tuple(map(int, series.split("."))), int(level or 0), None if rc is None else int(rc)
        )


class Has(Enum):
    NO = "no"
    MAYBE = "maybe"
    YES = "yes"


@attrs.frozen(eq=False)
class Change:
    """What one release does and an earlier one does not.

    `first` is the mainline release that brought it: the earliest that can, and the first known to have
    it.  `stable` has the same for the levels of a stable series; None: no level is known to have it.
    A change that no mainline release has (`first` None) was seen in stable series or candidates only.
    `rc` is the release candidate of its series that is known to have it; `only_rc` are those that had
    it before it was taken out again.  `parts`: several changes, which may not have come together.
    """

    what: str
    first: tuple[Series, Series] | None
    evidence: str
    stable: dict[Series, tuple[int, int | None]] = attrs.field(factory=dict)
    rc: int | None = None
    only_rc: tuple[Series, int, int] | None = None
    parts: bool = False

    def status(self, version: Version) -> Has:
        """Does that release have it?  NO also where no backport is known."""
        series, level, rc = version.series, version.level, version.rc
        if self.only_rc is not None:
            at, low, high = self.only_rc
            return Has.YES if series == at and rc is not None and low <= rc <= high else Has.NO
        if self.first is not None:
            earliest, known = self.first
            if rc is not None and series == earliest:
                return Has.YES if self.rc is not None and rc >= self.rc else Has.MAYBE
            if series >= known:
                return Has.YES
            if series >= earliest:
                return Has.MAYBE
        if rc is not None or series not in self.stable:
            return Has.NO
        low, sure = self.stable[series]
        if level < low:
            return Has.NO
        return Has.YES if sure is not None and level >= sure else Has.MAYBE


def _in(series: str, known: str | None = None) -> tuple[Series, Series]:
    """The mainline release of a change; with two, it came after the one before `series`."""
    return Version.of(series).series, Version.of(known or series).series


def _at(**levels: int | tuple[int, int | None]) -> dict[Series, tuple[int, int | None]]:
    """v6_12=34: from 6.12.34 on; v4_19=(14, 66): at one of these levels."""
    return {
        tuple(map(int, name[1:].split("_"))): (level, level) if isinstance(level, int) else level
        for name, level in levels.items()
    }


# READ: the tree's own files; ML: mailing list, ChangeLog or revision list.  Order: mainline's.
# A fix that an older stable series has taken may be in the newer ones that lived then: (level, None).
CHANGES: Final = (
    Change(
        "RANDOM skips the by-source search and starts at secure_port, a full search leaves the hint "
        "alone, PERSISTENT and zones exist",
        _in("2.6.25", "2.6.35"),
        "READ 2.6.24, 2.6.35.6",
        parts=True,
    ),
    Change(
        "the tuple is tried as it is first, a one-port range is taken unseen, the last candidate "
        "goes unprobed, hashes are lookup3 and MD5",
        _in("2.6.36", "3.4"),
        "READ 2.6.35.6, 3.4.113",
        parts=True,
    ),
    Change(
        "one address choice and by-source hash for IPv4 and IPv6",
        _in("3.5", "3.10"),
        "READ 3.4.113, 3.10.4; said to be 3.7's",
    ),
    Change(
        "a packet's look-up does not ask for CONFIRMED", _in("3.5", "3.10"), "READ 3.4.113, 3.10.4"
    ),
    Change("RANDOM_FULLY exists", _in("3.14"), "READ 3.13.10, 3.14.1"),
    Change("a packet's look-up asks for CONFIRMED again", _in("3.14"), "READ 3.13.10, 3.14.1"),
    Change(
        "confirm takes two of 1024 bucket locks instead of one for all",
        _in("3.15"),
        "READ 3.14.1, 3.15.5",
    ),
    Change(
        "confirm drops a dying connection instead of accepting its packet",
        _in("3.17", "3.18"),
        "READ 3.16.0, 3.18.20",
    ),
    Change(
        "a null binding says from which ICMP id to search",
        _in("3.17", "3.18"),
        "READ 3.16.0, 3.18.20",
    ),
    Change(
        "zones have directions, and are no part of the hashes",
        _in("4.2", "4.4"),
        "READ 4.1.19, 4.4.0",
    ),
    Change(
        "one table for all namespaces, look-ups want CONFIRMED, UDP clashes of one connection "
        "without NAT are merged",
        _in("4.7"),
        "READ 4.6.2, 4.7.4; 71d8c47fc653",
    ),
    Change(
        "a look-up that ends in another chain starts over",
        _in("4.9"),
        "READ 4.4.111, 4.8.17, 4.9.0, 4.4.0, 4.4.155",
        _at(v4_4=(112, 155)),
    ),
    Change("expired entries are skipped and killed", _in("4.9"), "READ 4.8.17, 4.9.0"),
    Change("the by-source search looks at the first match only", _in("4.9"), "READ 4.8.17, 4.9.0"),
    Change("secure_port is SipHash, no longer MD5", _in("4.11"), "ML 7cd23e5300c1"),
    Change(
        "clashes are merged where the entry has no NAT_DONE bit, even with a NAT extension",
        _in("4.11", "4.12"),
        "READ 4.9.22, 4.9.130, 4.10.17, 4.12.0, 4.9.0, 4.9.154",
        _at(v4_9=(23, 130)),
    ),
    Change(
        "a connection that is confirmed is not set up, even if it has a NAT extension",
        _in("4.11", "4.12"),
        "READ 4.10.17, 4.12.0, 4.9.337",
    ),
    Change(
        "the by-source search looks at every match of its rhlist",
        _in("4.13"),
        "READ 4.12.0, 4.13.9",
    ),
    Change(
        "the by-source search looks at every match in lists, the newest first",
        _in("4.14"),
        "READ 4.9.22, 4.9.130, 4.13.9, 4.14.177, 4.9.0, 4.9.154",
        _at(v4_9=(23, 130)),
    ),
    Change(
        "confirm warns of a connection that is confirmed already",
        _in("4.14"),
        "READ 4.13.9, 4.14.177, 4.15.0",
    ),
    Change(
        "a reversed port range is swapped",
        _in("4.16"),
        "READ 4.4.111, 4.9.22, 4.9.130, 4.15.0, 4.16.13, 4.4.155, 4.9.154, 4.14.177, 4.15.15",
        _at(v4_4=(112, 155), v4_9=(23, 130), v4_14=(1, 177), v4_15=(1, 15)),
    ),
    Change("PROTO_OFFSET exists", _in("4.18"), "READ 4.16.13, 4.18.0; ML 2eb0f624b709"),
    Change(
        "a queued packet is looked up again when it returns",
        _in("4.18"),
        "READ 4.16.13, 4.18.0; ML 368982cd7d1b",
    ),
    Change(
        "equal connections are merged even with NAT",
        _in("4.19"),
        "READ 4.18.0, 4.19.1, 4.14.177; ML ed07d9a021df",
        _at(v4_14=(1, 177)),
    ),
    Change(
        "an entry of the same origin does not count as taken",
        _in("5.0"),
        "READ 4.20.0, 5.0.1, 4.19.13, 4.19.66, 4.14.177, 4.9.154, 4.9.214; ML 4e35c1cb9460",
        _at(v4_19=(14, 66), v4_14=(1, 177), v4_9=(155, 214)),
    ),
    Change(
        "walks are bounded and start at random, without a hint",
        _in("5.0"),
        "ML 6ed5943f8735, 4.19.228, 4.14.265, 4.9.300; READ 4.20.0, 5.0.1, 4.14.177, 4.14.280, "
        "4.19.304, 4.9.273, 4.9.337",
        _at(v4_19=228, v4_14=265, v4_9=300),
    ),
    Change(
        "RANDOM starts at random too: no secure_port; ICMP ids come from a window of one",
        _in("5.0"),
        "READ 4.20.0, 5.0.1",
    ),
    Change(
        "secure_port changes every 10 seconds",
        None,
        "ML 4dfa9b438ee3, 4.19.244; READ 4.14.177, 4.14.280, 4.19.304",
        _at(v4_19=244, v4_14=(242, 280)),
    ),
    Change(
        "ICMP ids come from the whole window",
        _in("5.1", "5.2"),
        "READ 5.0.1, 5.2.1; ML: in 5.0.y from about 5.0.17 on",
        _at(v5_0=(2, None)),
    ),
    Change(
        "confirm drops a connection that is confirmed already",
        _in("5.1", "5.2"),
        "READ 5.0.1, 5.2.1, 4.14.177, 4.19.13, 4.19.66",
        _at(v4_19=(14, 66), v4_14=(1, 177)),
    ),
    Change("look-ups do not skip dying entries", _in("5.3"), "READ 5.2.1, 5.3.1"),
    Change(
        "a clash with a free REPLY key is resolved by an entry with that key only",
        _in("5.6"),
        "READ 5.6.4, 5.4.286; ML 6a757c07e51f",
    ),
    Change(
        "the first reply leaves a reply-only entry alone",
        _in("5.9"),
        "ML c46172147ebb, 5.8.8; READ 5.7.14, 5.8.1, 5.8.18, 5.9.1",
        _at(v5_8=8),
    ),
    Change("resolved clashes count as clash_resolve", _in("5.10"), "READ 5.9.1, 5.10.7"),
    Change(
        "an entry of the same origin counts as taken if its zone differs",
        _in("5.11"),
        "ML, 5.10.17, 4.14.222; READ 5.10.7, 5.11.0, 5.4.195, 4.19.95, 4.19.222, 4.14.177, "
        "4.14.280, 4.9.229, 4.9.273",
        _at(v5_10=17, v5_4=(1, 195), v4_19=(96, 222), v4_14=222, v4_9=(230, 273)),
    ),
    Change(
        "hashes are SipHash and know the zone, chains have a limit (8 to 31 at random)",
        _in("5.15"),
        "READ 5.14-rc5, 5.15.0; ML dd6d2910c5e0, b16ac3c4c886",
    ),
    Change(
        "a packet from a low to a high port is remapped as with RANDOM",
        None,
        "READ 5.17-rc5; ML 878aed8db324, reverted by a82c25c366b0 before 5.17",
        only_rc=((5, 17), 1, 7),
    ),
    Change(
        "confirm sets CONFIRMED before it tests for clashes, and drops what has outdated extensions",
        _in("5.19"),
        "READ 5.17-rc5, 5.19.0; ML 8a75a2c17410",
    ),
    Change("random ports come from get_random_u16", _in("6.1"), "READ 6.0.1, 6.1-rc7", rc=7),
    Change("the conntrack hash is siphash_4u64", _in("6.2"), "READ 6.1-rc7, 6.2.1"),
    Change(
        "chains may have 50 to 79 entries",
        _in("6.3"),
        "ML c77737b736ce, 6.1.20; READ 6.2.12, 6.2.1, 6.4.4, 6.1.192, 5.15.102, 5.15.103",
        _at(v6_2=(2, 12), v6_1=20, v5_15=103),
    ),
    Change(
        "the conntrack hash is SipHash over 39 bytes",
        _in("6.5"),
        "Debian changelog, 6.4.5; READ 6.4.4, 6.6.9; ML eaf9e7192ec9",
        _at(v6_4=5),
    ),
    Change(
        "a walk may evict a closing TCP connection, GRE clashes are resolved",
        _in("6.5"),
        "ML 458972550287, d671fd82eaa9; READ 6.4.4, 6.6.9",
    ),
    Change(
        "DNAT walks start at the first port",
        _in("6.8"),
        "ML 0f1ae2821fa4, 6.8-rc5; READ 6.6.63, 6.8.0",
        _at(v6_7=(4, None)),
        rc=5,
    ),
    Change(
        "the fast path keeps the tuple on a reverse clash",
        _in("6.12"),
        "ML d8f84a9bc7c4, 6.6.57; Debian changelog, 6.11.4; READ 6.9.0, 6.11.11, 6.12.0, 6.6.63",
        _at(v6_11=4, v6_6=57),
    ),
    Change(
        "confirm merges reverse clashes, and no longer without a match",
        _in("6.12"),
        "ML a4e6a1031e77; READ 6.9.0, 6.12.0, 6.6.63",
    ),
    Change(
        "a queued packet is not looked up again when it returns",
        _in("6.12"),
        "READ 6.11.11, 6.12.0; ML 8af79d3edb5f",
    ),
    Change(
        "the fast path looks for the entry in reverse too, and no longer minds its status bits",
        _in("6.16"),
        "ML 50d9ce9679dd, 6.12.34, about 6.6.94; READ 6.6.93, 6.14.0, 6.17.0",
        _at(v6_12=34, v6_6=(94, None), v6_14=(1, None), v6_15=(1, None)),
    ),
    Change(
        "both keys of an entry appear at one instant",
        _in("6.16"),
        "ML 2d72afb34065, 6.12.40, 6.1.147; READ 6.14.0, 6.17.0",
        _at(v6_12=40, v6_1=147, v6_6=(94, None), v6_15=(1, None)),
    ),
    Change("DCCP is unknown", _in("6.16"), "ML fd72f265bb00; READ 6.14.0, 6.17.0"),
    Change(
        "the fast path does not mind the direction of a reverse clash",
        _in("6.19"),
        "ML 5ec8ca26fe93, 6.12.64; READ 6.18.2, 6.19.9",
        _at(v6_12=64, v6_6=(94, None), v6_18=(3, None)),
    ),
    Change(
        "clashes of unknown protocols are resolved",
        _in("7.0"),
        "ML 8a49fc8d8a3e, 6.12.75, 6.1.165, 5.10.252; READ 5.15.201, 5.15.202, 6.19.9, 7.0.0",
        _at(
            v6_19=(1, 9),
            v6_18=(3, None),
            v6_12=75,
            v6_6=(94, None),
            v6_1=165,
            v5_15=202,
            v5_10=252,
        ),
    ),
    Change("ICMP clashes are resolved", _in("7.0"), "ML f7becf0dad8f; READ 6.19.9, 7.0.0"),
    Change(
        "confirm does not mind that a connection's extensions are outdated",
        _in("7.1"),
        "Debian changelog, 6.12.97; READ 6.12.0, 6.12.117, 6.1.192, 6.18.2, 6.19.9, 7.0.0, 7.1.5; "
        "6.18.44, running, has no nf_ct_ext_bump_genid",
        _at(v7_0=(1, None), v6_19=(10, None), v6_18=(3, 44), v6_12=97, v6_6=(94, None)),
    ),
    Change("UDPLITE is unknown", _in("7.1"), "READ 7.0.0, 7.1.5"),
)

# What the table does not tell apart.
ASIDE: Final = (
    Change("NAT and confirm wait for the last pass of a VRF", _in("5.17"), "READ 5.17-rc5", rc=5),
    Change(
        "a queued packet is dropped if its unconfirmed connection is shared",
        _in("6.11"),
        "ML 7d8dc1c7be8d, 6.10.7, 6.1.107, 5.15.166; READ 6.6.31, 6.6.63, 6.1.55, 6.1.119, 5.15.215",
        _at(v6_10=7, v6_6=(32, 63), v6_1=107, v5_15=166),
    ),
    Change(
        "a queue asks again, when it gives a packet back, if its unconfirmed connection is shared",
        _in("6.19"),
        "READ 6.18.2, 6.19.9, 6.12.64, 6.12.75, 6.1.158, 6.1.192",
        _at(v6_12=(65, 75), v6_1=(159, 192)),
    ),
    Change(
        "a queue's REPEAT or STOP becomes ACCEPT",
        None,
        "READ 6.6.9, 6.7.3, 6.8.0",
        _at(v6_7=(1, 3)),
    ),
)

# Row: the trees that were read and behave so, the canonical one first.
_ROWS: Final = """
2.6.24
2.6.35.6
3.4.113
3.10.4 3.13.10
3.14.1
3.15.5 3.16.0
3.18.20 3.19.8 4.1.19
4.4.0 4.4.111 4.6.2
4.4.155 4.4.166 4.4.220
4.7.4 4.8.17
4.9.0 4.9.22 4.10.1 4.10.17
4.9.154 4.9.130
4.9.229 4.9.214 4.9.227
4.9.273
4.9.337
4.12.0
4.13.9
4.14.177
4.14.241
4.14.280
4.15.0
4.16.13 4.15.15
4.18.0
4.19.1 4.19.13 4.20.0
4.19.66 4.19.78 4.19.95
4.19.222
4.19.304
5.0.1
5.2.1
5.3.1
5.4.286 5.4.195 5.4.273
5.8.1 5.6.4 5.7.6 5.7.14
5.9.1 5.8.18
5.10.7
5.10.262
5.11.0 5.10.198 5.11.14 5.14.0-rc5
5.15.0 5.15.16 5.15.100 5.15.102
5.15.148 5.15.103 5.15.201
5.15.215 5.15.202
5.17.0-rc5
5.19.0 6.0.1
6.1.0-rc7
6.1.119 6.1.55 6.1.141
6.1.158
6.1.192
6.2.1
6.4.4 6.2.12
6.6.9 6.5.0 6.6.31 6.7.3
6.6.63 6.6.87 6.6.93
6.8.0 6.9.0
6.11.11
6.12.0 6.12.10 6.12.19 6.12.33 6.13.7 6.14.0
6.12.34 6.12.39
6.12.49 6.12.40 6.12.62 6.12.63
6.12.64 6.12.74
6.12.94 6.12.75 6.12.78 6.12.83 6.12.92
6.12.117 6.12.101
6.17.0 6.18.0-rc1 6.18.2
6.19.9
7.0.0
7.3.4 7.1.5 7.2.13
"""
TREES: Final = {
    Version.of(tree): line.split()[0] for line in _ROWS.strip().split("\n") for tree in line.split()
}

# Read as well, but from no series of kernel.org: RHEL 8, which is not Linux 4.18.
EL8: Final = "4.18.0-394.el8"

ROW_NAMES: Final = (*dict.fromkeys(TREES.values()), EL8)


def state(version: Version) -> tuple[Has, ...]:
    """What a release has of CHANGES."""
    return tuple(change.status(version) for change in CHANGES)


_STATES: Final = {row: state(Version.of(row)) for row in dict.fromkeys(TREES.values())}
_ROW_OF: Final = {of: row for row, of in _STATES.items()}


@attrs.frozen
class Standing:
    """Where a release stands: `rows` are those that it can be, or lies between, oldest first.

    `complete`: it is one of them.  Otherwise its behaviour may be none of the table's: it lies between
    rows (`between`), or it is `newer` than the newest tree of its series that was read (None: no tree
    was), or all that is known of its changes makes it the row `likely`, but the nearest trees that were
    read are not both of that row.  `read`: its own tree was.
    """

    rows: tuple[str, ...]
    complete: bool
    read: bool = False
    between: bool = False
    open: bool = False
    newest: Version | None = None
    likely: str | None = None

    @property
    def certain(self) -> bool:
        return self.complete and len(self.rows) == 1


def _within(a: tuple[Has, ...], b: tuple[Has, ...]) -> bool:
    """Has b all that a has?"""
    return all(y is Has.YES for x, y in zip(a, b, strict=True) if x is Has.YES)


def sort_rows(rows: Iterable[str]) -> tuple[str, ...]:
    """By how much they have of CHANGES, then by age."""
    order = {row: n for n, row in enumerate(ROW_NAMES)}
    changes = {row: sum(has is Has.YES for has in of) for row, of in _STATES.items()}
    return tuple(sorted(set(rows), key=lambda row: (changes.get(row, 0), order[row])))


def newest_read(series: Series) -> Version | None:
    read = [tree for tree in TREES if tree.series == series]
    return max(read, key=lambda tree: tree.level) if read else None


def _below(version: Version, of: tuple[Has, ...]) -> str | None:
    """The nearest row on the way to a release whose changes it has all."""
    read = [t for t in TREES if t.series == version.series and t.level < version.level]
    way = sorted(read, key=lambda tree: -tree.level)
    way += [Version(series) for series in reversed(SERIES[: _PLACE[version.series] + 1])]
    return next((row for v in way if (row := _exact(v)) and _within(_STATES[row], of)), None)


def _above(version: Version, of: tuple[Has, ...]) -> str | None:
    """The nearest row on the way from a release that has all its changes."""
    read = [t for t in TREES if t.series == version.series and t.level > version.level]
    way = sorted(read, key=lambda tree: tree.level)
    way += [Version(series) for series in SERIES[_PLACE[version.series] + 1 :][:3]]
    return next((row for v in way if (row := _exact(v)) and _within(of, _STATES[row])), None)


def _exact(version: Version) -> str | None:
    return TREES.get(version) or _ROW_OF.get(state(version))


def standing(version: Version) -> Standing:
    """Of one release."""
    check_series(version.series)
    if (row := TREES.get(version)) is not None:
        return Standing((row,), complete=True, read=True)
    of = state(version)
    ways = [(Has.NO, Has.YES) if has is Has.MAYBE else (has,) for has in of]
    possible = [_ROW_OF.get(way) for way in product(*ways)]
    rows = {row for row in possible if row is not None}
    unsure = [change for change, has in zip(CHANGES, of, strict=True) if has is Has.MAYBE]
    between = None in possible or any(change.parts for change in unsure)
    if between:
        least = tuple(Has.NO if has is Has.MAYBE else has for has in of)
        most = tuple(Has.YES if has is Has.MAYBE else has for has in of)
        if least not in _ROW_OF and (row := _below(version, least)):
            rows.add(row)
        if most not in _ROW_OF and (row := _above(version, most)):
            rows.add(row)
    newest = newest_read(version.series)
    newer = version.rc is None and version.level > (newest.level if newest is not None else 0)
    likely = None
    if (
        len(rows) == 1
        and not between
        and not newer
        and set(around := _rows_around(version)) != rows
    ):
        (likely,) = rows
        rows.update(around)
    return Standing(
        sort_rows(rows),
        complete=not between and not newer and likely is None,
        between=between,
        open=newer,
        newest=newest if newer else None,
        likely=likely,
    )


def _rows_around(version: Version) -> tuple[str, ...]:
    """The rows of the nearest trees read before and after a release, of its series where it has any.

    Of other series only the first tree counts: later levels have got what this one need not have.
    """
    mainline = not version.level and version.rc is None
    own = [tree for tree in TREES if tree.series == version.series and not mainline]
    main = list(
        {tree.series: tree for tree in sorted(_RELEASED, key=_place, reverse=True)}.values()
    )
    before = [tree for tree in own if _place(tree) < _place(version)]
    before = before or [tree for tree in main if _place(tree) < _place(version)]
    after = [tree for tree in own or main if _place(tree) > _place(version)]
    nearest = (*sorted(before, key=_place)[-1:], *sorted(after, key=_place)[:1])
    return tuple(TREES[tree] for tree in nearest)


# Without the candidates that had something which no release has.
_RELEASED: Final = tuple(
    tree
    for tree in TREES
    if not any(change.only_rc and change.status(tree) is Has.YES for change in CHANGES)
)


def _place(version: Version) -> tuple[Series, int, bool, int]:
    """Where it stands among all: release candidates come before their release."""
    return version.series, version.level, version.rc is None, version.rc or 0


def _steps(series: Series) -> list[int]:
    """Levels of a series at which something known begins."""
    levels = {0}
    for change in (*CHANGES, *ASIDE):
        levels |= {level for level in change.stable.get(series, ()) if level is not None}
    for tree in TREES:
        if tree.series == series:
            levels |= {tree.level, tree.level + 1}
    return sorted(levels | {max(levels) + 1})


def standing_of_series(series: Series) -> Standing:
    """Of every release of a series together: its name does not tell the level.

    Where a level is like one row, the rows around it are not said to be possible.
    """
    check_series(series)
    all_of_them = [standing(Version(series, level)) for level in _steps(series)]
    return Standing(
        sort_rows(row for one in all_of_them for row in ([one.likely] if one.likely else one.rows)),
        complete=False,
        between=any(one.between or one.likely is not None for one in all_of_them),
        open=True,
        newest=newest_read(series),
    )


def told_apart(older: str, newer: str) -> tuple[list[Change], list[Change]]:
    """What only `newer` has of CHANGES, and what only `older` has."""
    if older not in _STATES or newer not in _STATES:
        return [], []
    a, b = _STATES[older], _STATES[newer]
    gained = [c for c, x, y in zip(CHANGES, a, b, strict=True) if x is not y and y is Has.YES]
    lost = [c for c, x, y in zip(CHANGES, a, b, strict=True) if x is not y and x is Has.YES]
    return gained, lost


def against(version: Version, row: str) -> tuple[list[Change], list[Change], list[Change]]:
    """What a release has and a row has not; what the row has and it has not; what it may have."""
    more: list[Change] = []
    less: list[Change] = []
    perhaps: list[Change] = []
    for change, has, theirs in zip(CHANGES, state(version), _STATES[row], strict=True):
        if has is Has.MAYBE:
            perhaps.append(change)
        elif has is not theirs:
            (more if has is Has.YES else less).append(change)
    return more, less, perhaps


def aside(version: Version, row: str) -> tuple[list[Change], list[Change]]:
    """Where a release is known to differ from its row's tree in what the table does not tell apart."""
    tree = Version.of(row)
    pairs = [(change, change.status(version), change.status(tree)) for change in ASIDE]
    return (
        [change for change, has, theirs in pairs if (has, theirs) == (Has.YES, Has.NO)],
        [change for change, has, theirs in pairs if (has, theirs) == (Has.NO, Has.YES)],
    )
