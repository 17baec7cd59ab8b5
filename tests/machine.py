# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs of natmodel.testing's machine: what one has shrunk to, and releases with a planted bug."""

from __future__ import annotations

from typing import Any, Final

import attrs
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from natmodel.ops import Call, Count, HashInsert, ReadChain, atomic, path
from natmodel.paths.nf_conntrack_confirm import dropped, first_equal, inserted
from natmodel.paths.packet import init_conntrack, nf_nat_setup_info, null_binding
from natmodel.release import Confirmed, Fate, Packet, Release
from natmodel.releases import V6_12_117
from natmodel.scenario import Scenario
from natmodel.testing import NatMachine
from natmodel.values import IP_CT_DIR_ORIGINAL, IP_CT_DIR_REPLY, Conn, CtTuple, Manip

EIGHT_PORTS: Final = "snat to 203.0.113.1:4000-4007"
PODS: Final = tuple(f"tcp 172.16.1.{n}:32769 > 198.51.100.7:80" for n in (8, 9, 10))

# Those that every run of the tests tries.
CELLS: Final = {
    "rover": Scenario(kernel="4.19.66"),
    "rounds": Scenario(kernel="6.12.117"),
    "random": Scenario(kernel="4.19.66", nat=("masquerade random",)),
    "random-fully": Scenario(nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000",)),
    "exhausted, rover": Scenario(kernel="4.19.66", nat=(EIGHT_PORTS,), occupied=("4000-4007",)),
    "exhausted": Scenario(nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000-4007",)),
}
# Those with more ways to shrink to something that is not the shortest.
MORE_CELLS: Final = {
    "three packets": Scenario(
        nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000",), packets=PODS
    ),
    "own port occupied": Scenario(occupied=("32769",)),
    "own port occupied, rover": Scenario(kernel="4.19.66", occupied=("32769",)),
    "random-fully, rover": Scenario(
        kernel="4.19.66", nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000",)
    ),
    "one port free": Scenario(nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000-4006",)),
    "one port free, rover": Scenario(
        kernel="4.19.66", nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000-4006",)
    ),
    "every second port free": Scenario(
        nat=(f"{EIGHT_PORTS} random-fully",), occupied=("4000-4001", "4003-4004")
    ),
}


@attrs.frozen
class Shrunk:
    """What a machine has found, and its run of the example that it has shrunk that to."""

    error: BaseException
    run: NatMachine

    @property
    def steps(self) -> int:
        return len(self.run.schedule)


def shrunk(
    machine: type[NatMachine], number: int = 0, examples: int = 2000, *, shrink: bool = True
) -> Shrunk | None:
    """Run the machine with this seed; None if nothing was found."""
    last: list[NatMachine] = []
    recorded = type(machine.__name__, (machine,), {"teardown": _recording(last)})
    try:
        run_state_machine_as_test(seed(number)(recorded), settings=_settings(examples, shrink))
    except (AssertionError, BaseExceptionGroup) as error:
        return Shrunk(error, last[0])
    return None


def _recording(last: list[NatMachine]) -> Any:
    """A teardown that keeps the last run, which is the shrunk one."""

    def teardown(self: NatMachine) -> None:
        last[:] = [self]
        NatMachine.teardown(self)

    return teardown


def _settings(examples: int, shrink: bool) -> settings:
    return settings(
        database=None,
        deadline=None,
        max_examples=examples,
        report_multiple_bugs=False,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def machine_for(s: Scenario, k: Release | None = None, **more: Any) -> type[NatMachine]:
    return type("Machine", (NatMachine,), {"scenario": s, "release": k, **more})


# ── releases with a planted bug ─────────────────────────────────────────────────────────────────


def planted(**changed: Any) -> Release:
    return attrs.evolve(V6_12_117, name="6.12.117, spoiled", **changed)


@path(blind=True)
async def always_free(k: Release, t: CtTuple, ignored: Conn) -> bool:
    return False


BLIND: Final = planted(used_tuple=always_free, used_tuple_new=always_free)
"""Every port is free to its eyes."""


@path(blind=True)
async def publish_whatever_reply_says(k: Release, ct: Conn) -> Confirmed:
    h, _ = first_equal(await ReadChain(ct.orig, 0), ct, IP_CT_DIR_ORIGINAL)
    if h is not None:
        await Count("drop")
        await Count("insert_failed")
        return dropped(ct, "clash", h.ct)
    done = inserted(ct)
    await HashInsert(done.ct, IP_CT_DIR_ORIGINAL)
    await HashInsert(done.ct, IP_CT_DIR_REPLY)
    return done


@path(blind=True)
async def confirm_original_only(k: Release, ct: Conn, ctinfo_dir: int) -> Confirmed:
    return await atomic(publish_whatever_reply_says(k, ct))


HALF_BLIND_CONFIRM: Final = planted(confirm=confirm_original_only)
"""Confirm does not look at REPLY keys."""


@path(blind=True)
async def clash_counted_once(k: Release, loser: Conn, h: Any) -> Confirmed:
    await Count("drop")
    return dropped(loser, "clash", h.ct)


FORGETFUL_COUNTERS: Final = planted(resolve_clash=clash_counted_once)
"""A clash raises drop and not insert_failed."""


@path(blind=True)
async def never_clean_up(k: Release, p: Packet) -> Fate | Call[Fate]:
    ct = init_conntrack(p)
    for r, manip in ((p.dst, Manip.DST), (p.src, Manip.SRC)):
        ct = await nf_nat_setup_info(k, ct, r or null_binding(ct, manip), manip)
    done = await k.confirm(k, ct, IP_CT_DIR_ORIGINAL)
    return Fate(p.id, done.verdict, done.cause, done.ct if done.cause == "inserted" else None)


LEAKY: Final = planted(new_connection=never_clean_up)
"""A dropped connection stays in the by-source hash."""
