# SPDX-License-Identifier: GPL-2.0-or-later
"""`python run_minicheck.py T R K MODE`: how many states minicheck finds in natclash, in plain tuples.

Whatever Python has minicheck runs this file; natmodel need not be there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import TypeAlias

# (what it does next, port, tries), and of all: (ports taken, as bits; rover; packets)
Packet: TypeAlias = tuple[str, int, int]
State: TypeAlias = tuple[int, int, tuple[Packet, ...]]


def steps(taken: int, rover: int, packet: Packet, ports: int, mode: str) -> Iterator[State]:
    """What one packet may do; it is the only one in the states that come of it."""
    doing, port, tries = packet
    busy = taken >> port & 1
    if doing == "start":
        for start in range(ports) if mode == "random" else [rover]:
            yield taken, rover, (("probe", start, 0),)
    elif doing == "probe" and busy and tries < ports - 1:
        yield taken, rover, (("probe", (port + 1) % ports, tries + 1),)
    elif doing == "probe":
        yield taken, rover, (("store" if mode == "rover" else "confirm", port, 0),)
    elif doing == "store":
        yield taken, port, (("confirm", port, 0),)
    elif doing == "confirm":
        yield taken | 1 << port, rover, (("dropped" if busy else "through", 0, 0),)


def transitions(state: State, ports: int, mode: str) -> list[tuple[str, State]]:
    taken, rover, packets = state
    return [
        (f"packet {t}", (table, stored, (*packets[:t], *after, *packets[t + 1 :])))
        for t, packet in enumerate(packets)
        for table, stored, after in steps(taken, rover, packet, ports, mode)
    ]


def main(packets: str, ports: str, occupied: str, mode: str) -> None:
    minicheck = import_module("minicheck")
    first = ("probe" if mode == "fixed" else "start", 0, 0)
    protocol = minicheck.Protocol(
        name="natclash",
        candidate=False,
        fields=("taken", "rover", "packets"),
        initial=((1 << int(occupied)) - 1, 0, (first,) * int(packets)),
        transitions=lambda state: transitions(state, int(ports), mode),
        invariants={"none, all is counted": lambda state: True},
    )
    found = minicheck.check_safety(protocol, max_states=10**9)
    print(json.dumps({"states": found["reachable_states"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
