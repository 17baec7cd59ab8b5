# SPDX-License-Identifier: GPL-2.0-or-later
"""natclash in the languages of other checkers: Promela, Murphi, PRISM.

Step for step what tests/bench/natclash.py does, with the same states.  That nothing is kept which does
not matter any more makes counts comparable: `port` and `tries` are 0 where nobody reads them.
"""

from __future__ import annotations

from string import Template
from typing import Final, Literal

from tests.bench.natclash import Workload

# What a packet does next, by number; a search begins with START, or at port 0 with PROBE.
START, PROBE, STORE, CONFIRM, THROUGH, DROPPED = range(6)


def chosen(work: Workload) -> int:
    """What comes after the last probe."""
    return STORE if work.mode == "rover" else CONFIRM


def first(work: Workload) -> int:
    return PROBE if work.mode == "fixed" else START


# ── Promela, for SPIN ───────────────────────────────────────────────────────────────────────────

# One step is one d_step, and packets are told apart by one loop's `doing`, not by where in their code
# they are: no state lies between steps.  `most` is C's, and not part of a state.
PROMELA: Final = Template("""\
$word table$array;
$number rover;
byte drops;
c_decl { int most; }

proctype packet() {
  $number port; $number tries; byte doing = $first;
end:
  do
$starts
  :: d_step { doing == $PROBE ->
       if
       :: ($taken && tries < $last) -> port = (port + 1) % $ports; tries++
       :: else -> tries = 0; doing = $chosen
       fi }
  :: d_step { doing == $STORE -> rover = port; doing = $CONFIRM }
  :: d_step { doing == $CONFIRM ->
       if
       :: $taken -> doing = $DROPPED; drops++;
          c_code { if (now.drops > most) printf("most drops: %d\\n", most = now.drops); }
       :: else -> $take; doing = $THROUGH
       fi;
       port = 0 }
  od
}

init { atomic { $occupy; $run }; end: false }
""")


def promela(work: Workload) -> str:
    """The model for SPIN, with a table of bits; `-E` is needed, since packets end inside their loops."""
    bits = 8 if work.ports <= 8 else 32
    words = -(-work.ports // bits)
    word = f"table[port / {bits}]" if words > 1 else "table"
    bit = f"port % {bits}" if words > 1 else "port"
    return PROMELA.substitute(
        globals(),
        word="byte" if bits == 8 else "int",
        array=f"[{words}]" if words > 1 else "",
        number="byte" if work.ports <= 256 else "short",
        first=first(work),
        chosen=chosen(work),
        starts="\n".join(
            f"  :: d_step {{ doing == {START} -> port = {port}; doing = {PROBE} }}"
            for port in _starts(work)
        ),
        taken=f"(({word} >> ({bit})) & 1)",
        take=f"{word} = {word} | (1 << ({bit}))",
        last=work.ports - 1,
        ports=work.ports,
        occupy="; ".join(_occupied(work.occupied, bits, words)),
        run="; ".join(["run packet()"] * work.packets),
    )


def _starts(work: Workload) -> list[str]:
    """Where a search may begin; nowhere that START would have to say, if fixed."""
    every = [str(port) for port in range(work.ports)]
    return {"fixed": ["0"], "rover": ["rover"], "random": every}[work.mode]


def _occupied(occupied: int, bits: int, words: int) -> list[str]:
    """The assignments that fill the table; the highest bit is the sign's."""
    made = []
    for n in range(words):
        word = ((1 << occupied) - 1) >> (n * bits) & ((1 << bits) - 1)
        signed = word - (1 << 32) if word >= 1 << 31 else word
        made.append(f"table[{n}] = {signed}" if words > 1 else f"table = {signed}")
    return made


# ── Murphi, for rumur ───────────────────────────────────────────────────────────────────────────

MURPHI: Final = Template("""\
type
  Packet: scalarset($packets);
  Port: 0..$last;
  Doing: enum { START, PROBE, STORE, CONFIRM, THROUGH, DROPPED };
var
  taken: array[Port] of boolean;
  rover: Port;
  doing: array[Packet] of Doing;
  port: array[Packet] of Port;
  tries: array[Packet] of Port;

startstate begin
  for k: Port do taken[k] := k < $occupied; end;
  rover := 0;
  for t: Packet do doing[t] := $first; port[t] := 0; tries[t] := 0; end;
end;

ruleset t: Packet do
$start
  rule "probe" doing[t] = PROBE ==> begin
    if taken[port[t]] & tries[t] < $last then
      port[t] := (port[t] + 1) % $ports;
      tries[t] := tries[t] + 1;
    else
      tries[t] := 0;
      doing[t] := $chosen;
    end;
  end;
  rule "store" doing[t] = STORE ==> begin rover := port[t]; doing[t] := CONFIRM; end;
  rule "confirm" doing[t] = CONFIRM ==> begin
    if taken[port[t]] then
      doing[t] := DROPPED;
    else
      taken[port[t]] := true;
      doing[t] := THROUGH;
    end;
    port[t] := 0;
  end;
end;

invariant "none, all is counted" true;
""")

_FROM: Final = "doing[t] = START ==> begin port[t] := {}; doing[t] := PROBE; end;"
_MURPHI_STARTS: Final = {
    "fixed": "",
    "rover": '  rule "load" ' + _FROM.format("rover"),
    "random": '  ruleset o: Port do rule "draw" ' + _FROM.format("o") + " end;",
}


def murphi(work: Workload) -> str:
    """The model for rumur; packets are a scalarset, which it merges."""
    names = ("START", "PROBE", "STORE", "CONFIRM")
    return MURPHI.substitute(
        packets=work.packets,
        ports=work.ports,
        last=work.ports - 1,
        occupied=work.occupied,
        first=names[first(work)],
        chosen=names[chosen(work)],
        start=_MURPHI_STARTS[work.mode],
    )


# ── PRISM, for Storm ────────────────────────────────────────────────────────────────────────────


def prism(work: Workload, kind: Literal["dtmc", "mdp"]) -> str:
    """The model for Storm; a packet has one command at a time, so that a dtmc picks packets evenly."""
    last = work.ports - 1
    lines: list[str] = [kind]
    lines += [f"global u{k}: [0..1] init {int(k < work.occupied)};" for k in range(work.ports)]
    lines += [f"global rover: [0..{last}] init 0;"]
    for t in range(work.packets):
        lines += [f"module packet{t}", f"  doing{t}: [0..{DROPPED}] init {first(work)};"]
        lines += [f"  port{t}: [0..{last}] init 0;", f"  tries{t}: [0..{last}] init 0;"]
        lines += [f"  [] {command}" for command in _commands(work, t)]
        lines += ["endmodule"]
    ended = " & ".join(f"doing{t}>={THROUGH}" for t in range(work.packets))
    lines += ["module ended", f"  [] {ended} -> true;", "endmodule"]
    dropped = " | ".join(f"doing{t}={DROPPED}" for t in range(work.packets))
    return "\n".join([*lines, f'label "drop" = {dropped};', ""])


def _commands(work: Workload, t: int) -> list[str]:
    """What packet t may do."""
    d, p, i, last = f"doing{t}", f"port{t}", f"tries{t}", work.ports - 1
    starts = {"fixed": [], "rover": ["rover"], "random": [*map(str, range(work.ports))]}[work.mode]
    ways = [f"1/{len(starts)}: ({d}'={PROBE})&({p}'={start})" for start in starts]
    commands = [f"{d}={START} -> {' + '.join(ways)};"] if ways else []
    commands.append(f"{d}={STORE} -> ({d}'={CONFIRM})&(rover'={p});")
    for k in range(work.ports):
        at, to = f"{p}={k}", (k + 1) % work.ports
        commands += [
            f"{d}={PROBE} & {at} & u{k}=1 & {i}<{last} -> ({p}'={to})&({i}'={i}+1);",
            f"{d}={PROBE} & {at} & (u{k}=0 | {i}={last}) -> ({d}'={chosen(work)})&({i}'=0);",
            f"{d}={CONFIRM} & {at} & u{k}=1 -> ({d}'={DROPPED})&({p}'=0);",
            f"{d}={CONFIRM} & {at} & u{k}=0 -> ({d}'={THROUGH})&({p}'=0)&(u{k}'=1);",
        ]
    return commands
