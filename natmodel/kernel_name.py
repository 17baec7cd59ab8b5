# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel is mine?  What `uname` and /proc/version say, and which rows of the table it can be.

A name may tell the stable level (`6.12.85+`), hide it (Debian's `6.1.0-25-amd64`, Ubuntu's
`5.15.0-91-generic`), or stand for sources that a vendor has changed at will (`5.14.0-427.el9`).
What it does not tell is said and never guessed.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

from natmodel import lines
from natmodel.errors import BadInput
from natmodel.lines import Change, Series, Standing, Version


class Tells(Enum):
    """What the version in a kernel's name says about its sources."""

    LEVEL = "level"  # its third number is the stable level
    SERIES = "series"  # its third number is 0 whatever the level
    VENDOR = "vendor"  # where the vendor once started


@attrs.frozen
class Flavour:
    """A maker of kernels.

    `mark` is looked for in what follows the version in `uname -r`; `ask` says what names the level or,
    for a vendor, why nothing does.  `vanilla`: in the code that is modelled here it is kernel.org's
    release of that level; from any other a name cannot tell what its maker has changed.
    """

    name: str
    title: str
    mark: re.Pattern[str]
    tells: Tells = Tells.LEVEL
    ask: str = ""
    vanilla: bool = False


def _flavour(
    name: str,
    title: str,
    mark: str,
    tells: Tells = Tells.LEVEL,
    ask: str = "",
    *,
    vanilla: bool = False,
) -> Flavour:
    return Flavour(name, title, re.compile(mark, re.ASCII | re.IGNORECASE), tells, ask, vanilla)


_DEBIAN_ASK: Final = "`uname -v` ends in the package's version, as in 'Debian 6.1.192-2'"
_UBUNTU_ASK: Final = (
    "neither `uname -r` nor `uname -v` of Ubuntu names the stable level; `cat "
    "/proc/version_signature` and the package's changelog do"
)
_VENDOR_ASK: Final = "only its maker's sources or changelog tell which later changes it has"
_ARCH: Final = (
    r"(?:amd64|arm64|armmp|armhf|armel|i?[36]86|powerpc64le|ppc64el|ppc64|s390x|riscv64|loong64|"
    r"mips\w*|loongson\w*|marvell|rpi)"
)
_PACKAGE: Final = rf"(?:[a-z]+-)*{_ARCH}(?:-[a-z0-9-]+)?"

KERNEL_ORG: Final = _flavour("kernel.org", "kernel.org's", r"$^", vanilla=True)
UBUNTU: Final = _flavour(
    "ubuntu",
    "an Ubuntu kernel",
    r"-\d+-(?!rancher)(?!pve)[a-z][\w.-]*$",
    Tells.SERIES,
    _UBUNTU_ASK,
)
DEBIAN: Final = _flavour(
    "debian",
    "a Debian kernel",
    rf"-(?:0\.(?:bpo|deb\d+)\.)?(?:kali)?\d+(?:-{_PACKAGE})$",
    Tells.SERIES,
    _DEBIAN_ASK,
    vanilla=True,
)
DISTRIBUTION: Final = _flavour(
    "distribution",
    "a distribution's kernel, Debian's, Ubuntu's or another's",
    r"-\d+$",
    Tells.SERIES,
    f"on Debian {_DEBIAN_ASK}; {_UBUNTU_ASK}",
)
OTHER: Final = _flavour("other", "a kernel of unknown make", r"")

# The first whose mark is found; the order matters.
FLAVOURS: Final = (
    _flavour("uek", "Oracle's UEK", r"\.el\d+uek", Tells.VENDOR, _VENDOR_ASK),
    _flavour("elrepo", "an ELRepo kernel", r"\.elrepo", vanilla=True),
    _flavour(
        "rhel",
        "a kernel of RHEL or its rebuilds (Rocky, Alma, CentOS)",
        r"\.el\d+",
        Tells.VENDOR,
        _VENDOR_ASK,
    ),
    _flavour("amazon", "an Amazon Linux kernel", r"\.amzn\d+"),
    _flavour("fedora", "a Fedora kernel", r"\.fc\d+"),
    _flavour("azurelinux", "an Azure Linux kernel", r"\.(?:azl|cm)\d+"),
    _flavour("photon", "a Photon OS kernel", r"\.ph\d+"),
    _flavour("openeuler", "an openEuler kernel", r"\.oe\d+", Tells.VENDOR, _VENDOR_ASK),
    _flavour(
        "anolis", "an Anolis or Alibaba Cloud kernel", r"\.(?:an|al)\d+", Tells.VENDOR, _VENDOR_ASK
    ),
    _flavour("tencent", "a TencentOS kernel", r"\.(?:tl|oc)\d+", Tells.VENDOR, _VENDOR_ASK),
    _flavour("wsl2", "a WSL2 kernel", r"microsoft-standard"),
    _flavour("pve", "a Proxmox VE kernel, made of Ubuntu's sources", r"-pve$"),
    _flavour("talos", "a Talos kernel", r"^-talos"),
    _flavour("flatcar", "a Flatcar kernel", r"^-flatcar"),
    _flavour("coreos", "a CoreOS Container Linux kernel", r"^-coreos"),
    _flavour("linuxkit", "a LinuxKit (Docker Desktop) kernel", r"^-linuxkit"),
    _flavour("orbstack", "an OrbStack kernel", r"^-orbstack"),
    _flavour("rancheros", "a RancherOS kernel", r"^-rancher\d*$"),
    # numbered like Debian's: 6.1.0-rpi7-rpi-v8
    _flavour(
        "raspberrypi-abi",
        "a Raspberry Pi OS kernel",
        r"^-rpi\d+-rpi",
        Tells.SERIES,
        _DEBIAN_ASK.replace("6.1.192-2", "1:6.1.63-1+rpt1"),
    ),
    _flavour("raspberrypi", "a Raspberry Pi kernel", r"\+rpt|^(?:-rpi)?-v\d\w*\+?$|-rpi-"),
    _flavour(
        "mainline-ppa",
        "an Ubuntu build of kernel.org's sources",
        r"-0\d{5}(?:rc\d+)?-",
        vanilla=True,
    ),
    _flavour(
        "suse",
        "a kernel of SUSE Linux Enterprise or openSUSE Leap",
        r"^-\d+(?:\.\w+)+-(?:default|preempt|azure|rt|64kb|kvmsmall|vanilla)"
        r"|^-\d+-(?:default|preempt)",
        Tells.VENDOR,
        _VENDOR_ASK,
    ),
    _flavour("alpine", "an Alpine kernel", r"^-\d+-(?:virt|rpi\d*|edge|stable)$|^-0-lts$"),
    _flavour("arch", "an Arch Linux kernel", r"-arch\d|-\d+-(?:lts|zen|hardened|MANJARO)$|-zen\d"),
    _flavour("gentoo", "a Gentoo kernel", r"^-gentoo"),
    attrs.evolve(
        DEBIAN,
        mark=re.compile(rf"^(?:\+deb\d+|\+bpo|\+kali|\+debian)[\w.+-]*$|^-{_PACKAGE}$", re.ASCII),
        tells=Tells.LEVEL,
        ask="",
    ),
    DEBIAN,
    UBUNTU,
    DISTRIBUTION,
    _flavour("cos", "a Container-Optimized OS kernel, or one from a changed tree", r"^\+$"),
)
_TUMBLEWEED: Final = _flavour("tumbleweed", "an openSUSE Tumbleweed kernel", r"$^")

# The versions from which SUSE's long-lived kernels start; Tumbleweed's go with kernel.org's.
_SUSE_BASES: Final = frozenset({"3.0.101", "3.12", "4.4", "4.12.14", "5.3.18", "5.14.21"})

_RELEASE: Final = re.compile(
    r"v?(?P<series>2\.6\.\d{1,5}|\d{1,5}\.\d{1,5})(?:\.(?P<level>\d{1,5}))?"
    r"(?P<extra>(?:\.\d{1,5})*)(?P<rest>.*)",
    re.ASCII,
)
_RC: Final = re.compile(r"^[-~]rc(\d{1,3})\b|^-0\.rc(\d{1,3})\.|^-0\d{5}rc(\d{1,3})-", re.ASCII)
_PACKAGED: Final = re.compile(r"\b(Debian|PMX) (?:\d+:)?(\d[\w.+~:-]*)", re.ASCII)
_SIGNATURE: Final = re.compile(
    r"\bUbuntu (\d{1,5}\.\d{1,5}\.\d{1,5})-\d+\.[\w.~+]+-[a-z][\w.-]* "
    r"(\d{1,5}\.\d{1,5}(?:\.\d{1,5})?(?:[-~]rc\d{1,3})?)(?![\w.])",
    re.ASCII,
)
_LONGEST: Final = 4096


@attrs.frozen
class KernelName:
    """What a text says of a kernel.

    `version` is the release of kernel.org that it is, as far as it tells: `level` is None where it
    does not tell the stable level, and meaningless for a vendor's kernel.  `row` is a row that the name
    names itself.  `told_by` names what told the level; `missing` says what would.
    """

    text: str
    series: Series
    level: int | None
    flavour: Flavour
    release: str | None = None
    rc: int | None = None
    told_by: str = "uname -r"
    missing: str | None = None
    row: str | None = None

    @property
    def version(self) -> Version | None:
        if self.flavour.tells is Tells.VENDOR or self.level is None:
            return None
        return Version(self.series, self.level, self.rc)

    @property
    def recognised(self) -> str:
        """Whose kernel it is, and which, as a clause."""
        if self.row is not None:
            return f"{self.flavour.title}: {self.row}"
        if self.flavour.tells is Tells.VENDOR:
            return f"{self.flavour.title}, which started from Linux {lines.dotted(self.series)}"
        version = self.version
        if version is None:
            return f"{self.flavour.title}, of the series {lines.dotted(self.series)}"
        if self.flavour is KERNEL_ORG:
            return f"kernel.org's {version}"
        return f"{self.flavour.title}, level {version} (from {self.told_by})"


def parse(text: str) -> KernelName:
    """Understand what uname, /proc/version, /proc/version_signature or a person says of a kernel."""
    if len(text) > _LONGEST:
        raise BadInput("kernel: that is too long for the name of a kernel")
    plain = " ".join(
        line.strip()
        for line in text.splitlines()
        if not re.match(r"\s*(?:[$%>]|\S*[#$]\s+(?:uname|cat)\b)", line)
    )
    plain = " ".join(plain.split())
    if not plain:
        raise BadInput("kernel: there is no name; give what `uname -a` prints")
    if (signature := _SIGNATURE.search(plain)) is not None:
        return _from_signature(plain, signature)
    release, build = _split(plain)
    if release is None:
        return _from_build(plain, build)
    return _with_build(_from_release(plain, release), build)


def _split(plain: str) -> tuple[str | None, str]:
    """`uname -r` and `uname -v` out of a line that has one of them or both."""
    head, mark, build = plain.partition(" #") if not plain.startswith("#") else ("", "#", plain[1:])
    if (found := re.search(r"\bLinux version (\S+)", plain)) is not None:
        # In /proc/version the compiler stands between the two, with versions of its own.
        return found[1], build if mark else ""
    if re.match(r"#\d", plain):
        return None, plain
    if mark and re.match(r"\d", build):
        return head.split()[-1], build
    words = [word for word in plain.split() if _RELEASE.match(word)]
    if not words and _PACKAGED.search(plain):
        return None, plain
    if not words:
        raise BadInput(f"kernel: no version of Linux in {_shown(plain)}")
    # `Linux HOST RELEASE ...`: the name of a host may look like a version.
    all_words = plain.split()
    if len(all_words) > 2 and all_words[0] == "Linux" and _RELEASE.match(all_words[2]):
        return all_words[2], ""
    return words[0], " ".join(all_words[all_words.index(words[0]) + 1 :])


def _shown(text: str) -> str:
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _from_release(plain: str, release: str) -> KernelName:
    found = _RELEASE.fullmatch(release)
    if found is None:
        raise BadInput(f"kernel: no version of Linux in {_shown(release)}")
    rest = found["rest"]
    series = tuple(int(number) for number in found["series"].split("."))
    level = None if found["level"] is None else int(found["level"])
    if "microsoft" in rest.lower() and "microsoft-standard" not in rest.lower():
        raise BadInput("kernel: WSL 1 is no Linux kernel and has no nf_nat")
    flavour, rc = _flavour_of(found["series"], level, rest)
    if flavour.tells is not Tells.VENDOR:
        lines.check_series(series)
    if found["extra"] and flavour is KERNEL_ORG:
        flavour = OTHER
    name = KernelName(plain, series, level, flavour, release=release, rc=rc)
    if flavour.tells is Tells.VENDOR:
        base = f"{lines.dotted(series)}.{level}{rest}"
        own = re.match(re.escape(lines.EL8) + r"(?![\d_])", base)
        row = lines.EL8 if own is not None else None
        return attrs.evolve(name, level=None, missing=flavour.ask if row is None else None, row=row)
    if flavour.tells is Tells.SERIES:
        return attrs.evolve(name, level=None, missing=flavour.ask)
    if level is None and rc is None:
        return attrs.evolve(name, missing="the whole of `uname -r` tells the stable level")
    return attrs.evolve(name, level=level or 0)


def _flavour_of(series: str, level: int | None, rest: str) -> tuple[Flavour, int | None]:
    """Whose kernel it is, and its release candidate."""
    rc = None
    if (found := _RC.match(rest)) is not None:
        rc = int(next(group for group in found.groups() if group is not None))
        rest = rest[found.end() :] if found[1] is not None else rest
    if not rest:
        return KERNEL_ORG, rc
    for flavour in FLAVOURS:
        if flavour.mark.search(rest) is None:
            continue
        if flavour.tells is Tells.SERIES and (level or rc is not None):
            continue
        if flavour.name == "suse" and _is_tumbleweed(series, level, rest):
            return _TUMBLEWEED, rc
        return flavour, rc
    return OTHER, rc


def _is_tumbleweed(series: str, level: int | None, rest: str) -> bool:
    long_lived = {series, f"{series}.{level}"} & _SUSE_BASES
    return not long_lived and re.match(r"-\d{1,2}(?:\.g\w+)?-", rest, re.ASCII) is not None


def _from_signature(plain: str, found: re.Match[str]) -> KernelName:
    """Ubuntu's /proc/version_signature, also at the end of the kernel log's first line."""
    ours, theirs = found.groups()
    version = Version.of(theirs.replace("~", "-"))
    lines.check_series(version.series)
    if Version.of(ours).series != version.series:
        raise BadInput(f"kernel: {_shown(found[0])} names two series")
    return KernelName(
        plain, version.series, version.level, UBUNTU, rc=version.rc, told_by="version_signature"
    )


def _packaged(build: str) -> tuple[str, Version] | None:
    """The version of the package, where `uname -v` ends in it: Debian 6.1.192-2, PMX 6.8.12-4."""
    found = _PACKAGED.search(build)
    if found is None:
        return None
    release = re.match(r"(\d+\.\d+(?:\.\d+)*)(?:~rc(\d+))?(?![\d.])", found[2], re.ASCII)
    if release is None:
        return None
    numbers = tuple(int(number) for number in release[1].split("."))
    size = 3 if numbers[:2] == (2, 6) else 2
    if len(numbers) < size or any(number > 99_999 for number in numbers):
        return None
    rc = None if release[2] is None else int(release[2])
    return found[1], Version(numbers[:size], numbers[size] if len(numbers) > size else 0, rc)


def _from_build(plain: str, build: str) -> KernelName:
    """`uname -v` alone: Debian's names the level, most others' name no version at all."""
    packaged = _packaged(build)
    if packaged is None:
        raise BadInput(f"kernel: {_shown(plain)} names no version of Linux; give `uname -r` too")
    maker, version = packaged
    lines.check_series(version.series)
    flavour = DEBIAN if maker == "Debian" else next(f for f in FLAVOURS if f.name == "pve")
    return KernelName(
        plain, version.series, version.level, flavour, rc=version.rc, told_by="uname -v"
    )


def _with_build(name: KernelName, build: str) -> KernelName:
    """What `uname -r` says, and what `uname -v` adds."""
    packaged = _packaged(build)
    if packaged is not None and name.flavour.tells is not Tells.VENDOR:
        maker, version = packaged
        if version.series != name.series:
            raise BadInput(
                f"kernel: it is {lines.dotted(name.series)} by its `uname -r`, and "
                f"{lines.dotted(version.series)} by its `uname -v`"
            )
        if maker == "Debian" and (name.flavour in (DISTRIBUTION, DEBIAN) or name.level is None):
            return attrs.evolve(
                name,
                level=version.level,
                rc=version.rc,
                flavour=DEBIAN,
                told_by="uname -v",
                missing=None,
            )
    if name.flavour.name == "arch" and "-Alpine" in build:
        return attrs.evolve(name, flavour=next(f for f in FLAVOURS if f.name == "alpine"))
    if name.flavour is DISTRIBUTION and "-Ubuntu" in build:
        return attrs.evolve(name, flavour=UBUNTU, missing=UBUNTU.ask)
    return name


# ── which rows ──────────────────────────────────────────────────────────────────────────────────


@attrs.frozen
class Candidates:
    """The rows that a kernel can be.

    `certain`: it is the one row there is.  Otherwise it is one of `rows`, or its behaviour is that of no
    row: it lies between them (`standing.between`), is newer than what was read (`standing.open`), or a
    vendor has changed it.  No row at all: nothing is known of it.
    """

    kernel: KernelName
    rows: tuple[str, ...]
    certain: bool
    standing: Standing | None = None


def candidates(kernel: KernelName) -> Candidates:
    """Every row that a kernel can be, as far as its name tells."""
    if kernel.row is not None:
        return Candidates(kernel, (kernel.row,), certain=True)
    if kernel.flavour.tells is Tells.VENDOR:
        of_el8 = kernel.flavour.name == "rhel" and kernel.series == (4, 18)
        return Candidates(kernel, (lines.EL8,) if of_el8 else (), certain=False)
    version = kernel.version
    if version is None:
        standing = lines.standing_of_series(kernel.series)
        return Candidates(kernel, standing.rows, certain=False, standing=standing)
    if version.rc is not None and version.level:
        raise BadInput(f"kernel: there was no Linux {version}")
    standing = lines.standing(version)
    return Candidates(
        kernel,
        standing.rows,
        certain=standing.certain and kernel.flavour.vanilla,
        standing=standing,
    )


def kernel_rows(text: str) -> Candidates:
    """`candidates(parse(text))`."""
    return candidates(parse(text))


# ── the answer as text ──────────────────────────────────────────────────────────────────────────


def answer_text(
    answer: Candidates, width: int = 80, covers: Mapping[str, str] | None = None
) -> str:
    """The answer for people: what it was taken for, its rows and how they differ, what would tell.

    `covers` may say for each row's name what the row stands for.
    """
    kernel = answer.kernel
    blocks = [_fill(f"{_shown(kernel.text)} is {kernel.recognised}. {_verdict(answer)}", width)]
    for row in answer.rows:
        said = (covers or {}).get(row, "")
        differs = _differences(answer, row)
        if len(answer.rows) > 1 or differs or said:
            text = "; ".join(filter(None, (said, *differs)))
            blocks.append(_fill(f"{row}  {text}".rstrip(), width, "  ", "    "))
    notes = _notes(answer)
    if notes:
        blocks.append(_fill(" ".join(notes), width))
    return "\n".join(blocks) + "\n"


def _fill(text: str, width: int, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=True,
        break_on_hyphens=False,
    )


def _verdict(answer: Candidates) -> str:
    kernel, standing = answer.kernel, answer.standing
    if standing is None:
        if kernel.row is not None:
            return f"It is the row {kernel.row}, whose tree was read."
        if answer.rows:
            return (
                "Its maker adds later changes without changing that version; which ones is unknown. "
                f"One kernel of that line was read, and is the row {answer.rows[0]}; this one may "
                "differ from it."
            )
        return (
            "Its maker adds later changes without changing that version; which ones is unknown, "
            "and so is the row."
        )
    rows = answer.rows
    if kernel.level is None:
        beyond = _beyond(standing, lines.dotted(kernel.series))
        if len(rows) == 1:
            are = "are like" if standing.between else "that are known are"
            by = "By what is known of their changes, all" if standing.between else "All"
            return f"{by} releases of that series {are} the row {rows[0]}. {beyond}"
        between = ", or lie between two" if standing.between else ""
        return f"Its stable level is not told, so it can be any of these rows{between}. {beyond}"
    if standing.certain or standing.likely:
        return _known_of(_version(kernel), standing, kernel.flavour.vanilla)
    parts = []
    if len(rows) == 1:
        parts.append(f"The row nearest to it is {rows[0]}.")
    elif standing.between:
        parts.append(f"It is one of the rows {', '.join(rows)}, or lies between them.")
        if all(has is not lines.Has.MAYBE for has in lines.state(_version(kernel))):
            parts = [f"It lies between the rows {' and '.join(rows)}, and is neither."]
    else:
        parts.append(f"It is one of the rows {', '.join(rows)}; which one is not known.")
    if standing.open:
        parts.append(_beyond(standing, lines.dotted(kernel.series)))
    return " ".join(parts)


def _known_of(version: Version, standing: Standing, vanilla: bool) -> str:
    """Which row a release is, or is like, and on what that rests."""
    it = "it" if vanilla else f"kernel.org's {version}"
    if standing.likely:
        return (
            f"By what is known of its changes {it} is like the row {standing.likely}. But its tree was "
            "not read, and those nearest to it that were are not both of that row."
        )
    evidence = (
        "its own tree was read"
        if standing.read
        else "its own tree was not read, but the nearest before and after it that were are of this row"
    )
    return f"{it[0].upper()}{it[1:]} is the row {standing.rows[0]}: {evidence}."


def _version(kernel: KernelName) -> Version:
    version = kernel.version
    assert version is not None
    return version


def _beyond(standing: Standing, series: str) -> str:
    if standing.newest is None:
        return f"No tree of {series} was read; what its stable releases changed is not known."
    return (
        f"The newest tree of {series} that was read is {standing.newest}; what later releases "
        "changed is not fully known."
    )


def _list(label: str, changes: list[Change]) -> str:
    return f"{label} {'; '.join(change.what for change in changes)}" if changes else ""


def _differences(answer: Candidates, row: str) -> list[str]:
    """How a row differs from the kernel or, where that is not known, from the row before it."""
    kernel, standing = answer.kernel, answer.standing
    if standing is None:
        return []
    if kernel.level is not None:
        more, less, _ = lines.against(_version(kernel), row)
        if more or less:
            texts = (_list("it also has:", more), _list("it lacks:", less))
            return [text for text in texts if text]
    place = answer.rows.index(row)
    if place == 0:
        return []
    before = answer.rows[place - 1]
    gained, lost = lines.told_apart(before, row)
    since = "; ".join(_since(change, kernel.series) for change in gained)
    return [f"unlike {before}: {since}", *([_list("no longer:", lost)] if lost else [])]


def _since(change: Change, series: Series) -> str:
    """What a change is, and at which level of a series it came."""
    low, known = change.stable.get(series, (0, None))
    if not low:
        return change.what
    at = f"{lines.dotted(series)}."
    if known is None:
        return f"{change.what} (perhaps after {at}{low - 1})"
    if low == known:
        return f"{change.what} (from {at}{low} on)"
    return f"{change.what} (somewhere from {at}{low} to {at}{known})"


def _notes(answer: Candidates) -> list[str]:
    kernel, standing = answer.kernel, answer.standing
    notes = []
    if standing is not None and kernel.level is not None and answer.rows:
        _, _, perhaps = lines.against(_version(kernel), answer.rows[0])
        if perhaps and len(answer.rows) == 1:
            notes.append(f"{_list('Not known of it:', perhaps)}.")
    if standing is not None and kernel.flavour is not KERNEL_ORG:
        if kernel.flavour is OTHER:
            notes.append("What follows the version is nobody's that is known here.")
        elif not kernel.flavour.vanilla:
            notes.append("Its maker may have patched it beyond its level, in this code too.")
    if standing is not None and kernel.level is not None and len(answer.rows) == 1:
        has, lacks = lines.aside(_version(kernel), answer.rows[0])
        apart = ", ".join(filter(None, (_list("it has:", has), _list("it lacks:", lacks))))
        if apart:
            notes.append(f"Not told apart by the table: {apart}.")
    if kernel.missing is not None:
        vendor = kernel.flavour.tells is Tells.VENDOR
        ask = kernel.missing if vendor else f"to know the level: {kernel.missing}"
        notes.append(f"{ask[0].upper()}{ask[1:]}.")
    return notes
