# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutate the paths, and see who notices: the recorded vectors, or else our own tests.

    python -m tests.mutation                        every path; exits 1 if a mutant lives, or if one
                                                    that is listed below does not
    python -m tests.mutation nf_conntrack_confirm   one file of natmodel/paths
    python -m tests.mutation --vectors              what the vectors alone let live

A mutant is one small change: a constant moved by one, a comparison turned, one side of an `and`, `or`,
`|` or `&` dropped, a condition fixed, an awaited effect or a `continue` dropped, two neighbours swapped.
Each runs in a forked process that has loaded the mutated file in place of the real one; nothing is
written to disk.  Survivors that change nothing are listed below, each with the reason.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import attrs

PATHS: Final = Path(__file__).parent.parent / "natmodel" / "paths"
VECTORS: Final = Path(__file__).parent / "vectors"
JUDGES: Final = (
    "tests/test_generations.py",
    "tests/test_paths_from_spec.py",
    "tests/test_extensions.py",
    "tests/test_findings.py",
    "tests/test_router.py",
    "tests/test_retransmit.py",
    "tests/test_selftests.py",
    "tests/test_race.py",
)
SECONDS: Final = 240
# How many releases are asked about one mutant.
MOST_RELEASES: Final = 4

# "file: change" -> why nobody can notice
EQUIVALENT: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "get_unique_tuple: swap 'if manip is Manip.SRC:' and 'address = "
            "find_best_ips_proto(k, orig, r, ct.zone.id, manip)'",
            "get_unique_tuple: swap 'if manip is Manip.SRC and (not random):' and 'address = "
            "find_best_ips_proto(k, orig, r, ct.zone.id, manip)'",
        ),
        "a local value",
    ),
    **dict.fromkeys(
        (
            "get_unique_tuple: 0 -> 1 in t.with_dst(0).with_dport(0)",
            "get_unique_tuple: 0 -> -1 in t.with_dst(0).with_dport(0)",
            "get_unique_tuple: 0 -> 1 in t.with_dst(0)",
            "get_unique_tuple: 0 -> -1 in t.with_dst(0)",
        ),
        "any one number is nobody's destination: what is drawn for a source is named by the source",
    ),
    "get_unique_tuple: swap 'if not cts or await RhltableLookup(source_alone(t)) != 0:' and "
    "'results = (mapped_source(ct, t) for ct in cts)'": "a local value",
    "get_unique_tuple: swap 'if await RhltableLookup(source_alone(t)) != 0:' and "
    "'result = mapped_source(ct, t)'": "a local value",
    "nf_nat_used_tuple: swap 'uses_nat = IPS_NAT_MASK | IPS_SEQ_ADJUST_BIT' and "
    "'if not await nf_nat_used_tuple(k, t, ignored):'": "a local constant",
    # nf_nat_used_tuple_new*: t is ignored.orig, for what DNAT has changed got out before
    "nf_nat_used_tuple: drop h.ct.reply != ignored.orig of h.ct.orig != ignored.reply or "
    "h.ct.reply != ignored.orig": "what is found as a REPLY of t has ignored.orig for its reply; what "
    "is found as a REPLY of its reverse is no reverse of ignored",
    "nf_conntrack_confirm: swap 'await k.lock(ct)' and 'done = await k.test_keys(k, ct)'": (
        "one section: if the lock is held, none of it happens"
    ),
    "nf_conntrack_confirm: swap 'if ct.status & IPS_DYING:' and 'h = await k.clash(k, ct)'": (
        "two tests of one section, and the first that fails decides"
    ),
    "nf_conntrack_confirm: swap 'done = await k.resolve_clash(k, ct, h)' and \"await "
    "Count('insert_failed')\"": "counters are sums",
    'nf_conntrack_confirm: swap "await Count(\'chaintoolong\')" and "await '
    "Count('insert_failed')\"": "counters are sums",
    "nf_conntrack_find: swap 'h = await atomic(k.find(k, t, zone, net, zone_id))' and "
    "'rid = nf_ct_zone_id(zone, IP_CT_DIR_REPLY)'": "a local value",
    "nf_conntrack_proto_tcp: 0 -> 1 in (0, 120, 60, 432000, 120, 60, 30, 120, 10, 120)": (
        "no entry is in state NONE"
    ),
    "nf_conntrack_proto_tcp: 0 -> -1 in (0, 120, 60, 432000, 120, 60, 30, 120, 10, 120)": (
        "no entry is in state NONE"
    ),
    "nf_conntrack_proto_tcp: drop direction == IP_CT_DIR_REPLY of new == TCP_CONNTRACK_SYN_RECV and "
    "direction == IP_CT_DIR_REPLY and (index == TCP_ACK_SET)": "an ORIGINAL ACK leads to no SYN_RECV",
    "nf_conntrack_proto_tcp: swap 'if may_reopen(ct, direction):' and 'new = TCP_CONNTRACK_IGNORE'": (
        "a local value"
    ),
    "nf_conntrack_proto_tcp: swap 'if maxack is not None and after(maxack, th.seq):' and "
    "'if not closes(ct, th, direction):'": "a local value",
    "nf_hooks: if ct.orig.protonum in (IPPROTO_UDP, IPPROTO_UDPLITE) and (not ct.status & "
    "IPS_SEEN_REPLY) -> True": (
        "only a clash of UDP leaves a reply-only entry, and its first answer ends it"
    ),
    "nf_hooks: drop ct.orig.protonum in (IPPROTO_UDP, IPPROTO_UDPLITE) of ct.orig.protonum in "
    "(IPPROTO_UDP, IPPROTO_UDPLITE) and (not ct.status & IPS_SEEN_REPLY)": "the same",
    "nf_hooks: drop not ct.status & IPS_SEEN_REPLY of ct.orig.protonum in (IPPROTO_UDP, "
    "IPPROTO_UDPLITE) and (not ct.status & IPS_SEEN_REPLY)": "the same",
    "nf_hooks: drop skb.direction == IP_CT_DIR_REPLY of skb.direction == IP_CT_DIR_REPLY and ct.status "
    "& IPS_NAT_CLASH": "no other packet can find a reply-only entry",
    "nf_hooks: if own.status & IPS_SRC_NAT_DONE -> True": "it is not there to be deleted",
    "nf_hooks: drop own.status of own.status & IPS_SRC_NAT_DONE": "it is not there to be deleted",
    "nf_hooks: drop IPS_SRC_NAT_DONE of own.status & IPS_SRC_NAT_DONE": "it is not there to be deleted",
    "nf_hooks: drop done.ct.status & IPS_SRC_NAT_DONE of (done.verdict == NF_DROP or done.freed) and "
    "done.ct.status & IPS_SRC_NAT_DONE": "it is not there to be deleted",
    "nf_hooks: drop done.ct.status of done.ct.status & IPS_SRC_NAT_DONE": "the same",
    "nf_hooks: drop IPS_SRC_NAT_DONE of done.ct.status & IPS_SRC_NAT_DONE": "the same",
    "nf_hooks: drop own is None of own is None or own.status & IPS_CONFIRMED": (
        "a queue holds tracked packets only"
    ),
    "nf_hooks: swap 'if todo == INVALID:' and 'if todo in (KILL, REPEAT):'": "it is one of them",
    "nf_hooks: swap 'if todo in (KILL, REPEAT):' and 'if ct.orig.protonum in (IPPROTO_UDP, "
    "IPPROTO_UDPLITE) and (not ct.status & IPS_SEEN_REPLY):'": "only TCP's tracker kills",
    "nf_hooks: swap 'if skb.direction == IP_CT_DIR_REPLY:' and 'ct = refreshed(ct, skb.th)'": (
        "status and timeout"
    ),
    "nf_hooks: swap 'if ct is None:' and 'if skb.is_new and (not nf_nat_initialized(ct, manip)):'": (
        "what is not tracked is not new"
    ),
    "nf_hooks: swap 'if (done.verdict == NF_DROP or done.freed) and done.ct.status & "
    "IPS_SRC_NAT_DONE:' and 'ct = done.clash if done.freed else done.ct'": "a local value",
    "nf_hooks: swap 'if own is None or own.status & IPS_CONFIRMED:' and 'h = await k.find_get(k, "
    "own.orig, skb.zone, skb.net)'": "a look-up changes nothing here",
    "nf_hooks: swap 'if own.status & IPS_SRC_NAT_DONE:' and 't = skb.t'": "a local value",
    "nf_hooks: swap 'if begun is None:' and 'ct = begun'": "a local value",
    "nf_nat_used_tuple: swap 'uses_nat = IPS_NAT_MASK | IPS_SEQ_ADJUST' and "
    "'if not await nf_nat_used_tuple(k, t, ignored):'": "a local constant",
    "nf_nat_used_tuple: swap 'if not k.allow_clash(ignored.orig.protonum):' and "
    "'if ignored.status & uses_nat:'": "both are private to the packet, and both say used",
    "nf_conntrack_confirm: True -> False": "zip of two sequences of one length",
    "nf_conntrack_confirm: swap 'await HashInsert(ct, IP_CT_DIR_REPLY)' and "
    "'await UnlockBuckets(ct)'": "one section: nobody looks in between",
    "nf_conntrack_confirm: swap 'await atomic(nf_ct_delete(done.ct))' and \"await Count('drop')\"": (
        "counters are sums"
    ),
    "nf_conntrack_confirm: swap \"await Count('drop')\" and 'status = done.ct.status | IPS_DYING'": (
        "a local value"
    ),
    "nf_conntrack_confirm: swap \"await Count('drop')\" and \"await Count('insert_failed')\"": (
        "counters are sums"
    ),
    "nf_nat_l4proto_unique_tuple: 16 -> 15 in w.attempts < 16": "rounds are 128, 64, 32, 16, 8",
    "nf_nat_l4proto_unique_tuple: 65536 -> 65537 in (True, 0, 65536)": "offsets end at 65,535",
    "nf_nat_l4proto_unique_tuple: swap 'if t.protonum in (IPPROTO_ICMP, IPPROTO_ICMPV6):' and "
    "'if t.protonum == IPPROTO_GRE:'": "a packet has one protocol",
    "nf_nat_l4proto_unique_tuple: swap 'if not ct.has_master:' and 'first, size = key_window(r)'": (
        "local values"
    ),
    "nf_nat_l4proto_unique_tuple: drop 255 of r.min_proto & 255": "a candidate is cut to 16 bits",
    "nf_nat_l4proto_unique_tuple: swap 'first = r.min_proto >> 8 | (r.min_proto & 255) << 8' and "
    "'size = u32(r.max_proto - r.min_proto + 1)'": "local values",
    "packet: swap 'if done.verdict == NF_DROP or done.freed:' and 'ct = done.clash if done.freed else "
    "done.ct'": "a local value",
    "packet: swap 'new = await k.get_unique_tuple(k, current, r, ct, manip)' and 'status, entered = "
    "(ct.status, ct.status & IPS_NAT_DONE_MASK != 0)'": "local values",
    "packet: swap 'if ct.status & IPS_CONFIRMED and (not ct.status & IPS_NAT_DONE_MASK):' and "
    "'current = nf_ct_invert_tuple(ct.reply)'": "a local value",
    "packet: swap 'new = await k.get_unique_tuple(k, current, r, ct, manip)' and "
    "'status = ct.status'": "a local value",
    "packet: swap 'if ct.status & IPS_CONFIRMED:' and 'current = nf_ct_invert_tuple(ct.reply)'": (
        "a local value"
    ),
    "packet: swap 'if fate.verdict == NF_DROP and todo[0].t.protonum == IPPROTO_TCP and (tried < "
    "len(times)):' and 'fate = attrs.evolve(fate, at=(0, *times)[tried])'": (
        "of a packet that is sent again the fate is forgotten"
    ),
    "packet: 0 -> 1 in return 0": "any one number for all zones is no zone",
    "packet: 0 -> -1 in return 0": "any one number for all zones is no zone",
}


@attrs.frozen
class Mutant:
    """One change to one file."""

    module: str
    function: str
    line: int
    change: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line}: {self.change}"


Change = tuple[str, Callable[[], None]]

TURNED: Final[dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def replace(parent: ast.AST, field: str, index: int | None, new: ast.AST) -> None:
    if index is None:
        setattr(parent, field, new)
    else:
        getattr(parent, field)[index] = new


def slots(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    """(parent, field, index in it, node) for every node of functions and constants."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if field == "decorator_list":
                continue
            if isinstance(value, ast.AST):
                yield parent, field, None, value
            elif isinstance(value, list):
                for n, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield parent, field, n, item


def changes(
    parent: ast.AST, field: str, n: int | None, node: ast.AST
) -> Iterator[tuple[str, ast.AST]]:
    """What can be put in the node's place."""
    text = ast.unparse(node) if isinstance(node, ast.expr | ast.stmt) else ""
    match node:
        case ast.Constant(value=bool(value)):
            yield f"{value} -> {not value}", ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield f"{value} -> {value + 1} in {around(parent)}", ast.Constant(value + 1)
            yield f"{value} -> {value - 1} in {around(parent)}", ast.Constant(value - 1)
        case ast.Compare(left=left, ops=[op], comparators=right):
            for turned in TURNED[type(op)]:
                new = ast.Compare(left, [turned()], right)
                yield f"{text} -> {ast.unparse(new)}", new
        case ast.BoolOp(op=op, values=values):
            for at, operand in enumerate(values):
                rest = values[:at] + values[at + 1 :]
                kept = rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
                yield f"drop {ast.unparse(operand)} of {text}", kept
        case ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd(), right=right):
            yield f"drop {ast.unparse(left)} of {text}", right
            yield f"drop {ast.unparse(right)} of {text}", left
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            yield f"drop not of {text}", inner
        case ast.If(test=test, body=body, orelse=orelse):
            for value in (True, False):
                new_if = ast.If(ast.Constant(value), body, orelse)
                yield f"if {ast.unparse(test)} -> {value}", new_if
        case ast.IfExp(body=body_, orelse=orelse_):
            yield f"{text} -> {ast.unparse(body_)}", body_
            yield f"{text} -> {ast.unparse(orelse_)}", orelse_
        case ast.Continue() | ast.Expr(value=ast.Await()):
            yield f"drop {text}", ast.Pass()


def around(parent: ast.AST) -> str:
    return ast.unparse(parent) if isinstance(parent, ast.expr | ast.stmt) else ""


def swaps(tree: ast.AST) -> Iterator[tuple[str, int, ast.AST, str, int]]:
    """Neighbouring statements, one of which awaits or returns."""
    for parent in ast.walk(tree):
        for field in ("body", "orelse"):
            body = getattr(parent, field, None)
            if not isinstance(body, list) or not isinstance(parent, ast.AsyncFunctionDef | ast.If):
                continue
            for n in range(len(body) - 1):
                pair = body[n : n + 2]
                plain = all(isinstance(s, ast.Expr | ast.If | ast.Assign) for s in pair)
                if plain and not isinstance(getattr(pair[0], "value", None), ast.Constant):
                    first, second = (ast.unparse(s).partition("\n")[0] for s in pair)
                    yield f"swap {first!r} and {second!r}", pair[0].lineno, parent, field, n


def without_annotations(tree: ast.Module) -> ast.Module:
    """Types are mypy's business."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def changes_of(module: str) -> Iterator[str]:
    """What every mutant of a file changes, without making them."""
    tree = without_annotations(ast.parse((PATHS / f"{module}.py").read_text(encoding="utf-8")))
    for parent, field, n, node in slots(tree):
        yield from (change for change, _ in changes(parent, field, n, node))
    yield from (change for change, *_ in swaps(tree))


def mutants(module: str) -> Iterator[Mutant]:
    """Every mutant of a file of natmodel/paths."""
    tree = without_annotations(ast.parse((PATHS / f"{module}.py").read_text(encoding="utf-8")))
    for number, (parent, field, n, node) in enumerate(list(slots(tree))):
        if isinstance(parent, ast.Expr | ast.Module) and isinstance(
            node, ast.Constant | ast.Import
        ):
            continue
        for which, (change, _) in enumerate(changes(parent, field, n, node)):
            mutated = copy.deepcopy(tree)
            parent2, field2, n2, node2 = list(slots(mutated))[number]
            replace(parent2, field2, n2, list(changes(parent2, field2, n2, node2))[which][1])
            line = getattr(node, "lineno", 0)
            yield Mutant(module, function_at(tree, line), line, change, mutated)
    for number, (change, line, *_) in enumerate(list(swaps(tree))):
        mutated = copy.deepcopy(tree)
        _, _, parent, field, at = list(swaps(mutated))[number]
        body = getattr(parent, field)
        body[at], body[at + 1] = body[at + 1], body[at]
        yield Mutant(module, function_at(tree, line), line, change, mutated)


def function_at(tree: ast.Module, line: int) -> str:
    """The function or the constant that this line is in."""
    for node in tree.body:
        if node.lineno <= line <= (node.end_lineno or 0):
            return name_of(node)
    return ""


def name_of(node: ast.stmt) -> str:
    """What a statement of a module defines; "" if neither a function nor a constant."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else ()
    return next((target.id for target in targets if isinstance(target, ast.Name)), "")


# ── judges ──────────────────────────────────────────────────────────────────────────────────────


# Modules that hold no path; the others are loaded anew around a mutant.
KEPT: Final = tuple(
    f"natmodel.{name}"
    for name in (
        "errors",
        "fields",
        "hashes",
        "kernel_name",
        "lines",
        "ops",
        "purity",
        "values",
        "vectors",
        "world",
    )
)


def install(mutant: Mutant) -> None:
    """Load the mutated file in place of the real one, in this process."""
    for loaded in [name for name in sys.modules if name.startswith(("natmodel.", "tests."))]:
        kept = loaded.startswith(KEPT) or loaded in ("natmodel.release", "tests.mutation")
        if not kept:
            del sys.modules[loaded]
    name = f"natmodel.paths.{mutant.module}"
    spec = spec_from_loader(name, loader=None, origin=str(PATHS / f"{mutant.module}.py"))
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    code = compile(ast.fix_missing_locations(mutant.tree), name, "exec")
    exec(code, module.__dict__)


def noticed(mutant: Mutant, judge: Callable[[], bool]) -> bool:
    """Does the judge, in a process of its own, notice the mutant?  A crash and a hang count."""
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                install(mutant)
                os._exit(1 if judge() else 0)
            except BaseException:
                os._exit(1)
    return os.waitpid(child, 0)[1] != 0


def by_vectors(vectors: list[Any]) -> Callable[[], bool]:
    def judge() -> bool:
        from natmodel.conform import Listener, conform

        # A stretch takes it for granted that paths look at no key; a mutant may.
        with patch.object(Listener, "known", lambda listener, call: None):
            return any(conform(recorded).outcome != "agree" for recorded in vectors)

    return judge


def by_tests() -> bool:
    import pytest

    return pytest.main(["-q", "-x", "-p", "no:cacheprovider", *JUDGES]) != 0


def light_vectors() -> dict[str, list[Any]]:
    """Of each recorded release all vectors but the few that walk thousands of ports, quick ones first."""
    from natmodel.conform import read_recorded
    from natmodel.vectors import Select

    def cost(recorded: Any) -> int:
        vector = recorded.vector
        return sum(p.n for p in vector.did.probes) if isinstance(vector, Select) else 0

    found: dict[str, list[Any]] = {}
    for file in sorted([*VECTORS.glob("*.jsonl.xz"), *VECTORS.glob("kernel/*.xz")]):
        for recorded in read_recorded(file):
            if recorded.kind != "hash" and cost(recorded) < 2000:
                found.setdefault(recorded.release, []).append(recorded)
    return {release: sorted(vectors, key=cost) for release, vectors in found.items()}


def users() -> dict[str, list[str]]:
    """Function or constant of natmodel/paths -> the rows that use it, in the order of their versions."""
    from natmodel.release import Release
    from natmodel.releases import RELEASES

    functions = {
        name: node
        for path in PATHS.glob("[a-z]*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if (name := name_of(node))
    }
    found: dict[str, list[str]] = {}
    for k in RELEASES.values():
        values = (getattr(k, field.name) for field in attrs.fields(Release))
        todo = ["packets", *(getattr(value, "__name__", "") for value in values)]
        seen = set()
        while todo:
            name = todo.pop()
            if name in functions and name not in seen:
                seen.add(name)
                todo += [n.id for n in ast.walk(functions[name]) if isinstance(n, ast.Name)]
        for name in seen:
            found.setdefault(name, []).append(k.name)
    return found


def judges(function: str, vectors: dict[str, list[Any]], using: dict[str, list[str]]) -> list[Any]:
    """The vectors of a few releases that run the function, from its first to its last."""
    recorded = [name for name in using.get(function, vectors) if name in vectors]
    step = max(1, (len(recorded) - 1) // (MOST_RELEASES - 1))
    chosen = dict.fromkeys([*recorded[::step], *recorded[-1:]])
    return [vector for name in chosen for vector in vectors[name]]


def main(modules: list[str], only_vectors: bool = False) -> int:
    vectors, using = light_vectors(), users()
    all_modules = sorted(path.stem for path in PATHS.glob("[a-z]*.py"))
    made = killed = listed = 0
    alive: list[str] = []
    for module in modules or all_modules:
        for mutant in mutants(module):
            made += 1
            if noticed(mutant, by_vectors(judges(mutant.function, vectors, using))):
                killed += 1
            elif only_vectors:
                print(f"vectors let live: {mutant.name}", flush=True)
            elif f"{mutant.module}: {mutant.change}" in EQUIVALENT:
                listed += 1
                if noticed(mutant, by_tests):
                    alive.append(mutant.name)
                    print(f"LISTED, but tests kill it: {mutant.name}", flush=True)
            elif noticed(mutant, by_tests):
                print(f"vectors let live, tests kill: {mutant.name}", flush=True)
            else:
                alive.append(mutant.name)
                print(f"ALIVE: {mutant.name}", flush=True)
    print(f"{made} mutants: vectors kill {killed}, {listed} equivalent, {len(alive)} alive")
    return 1 if alive else 0


if __name__ == "__main__":
    names = [name for name in sys.argv[1:] if name != "--vectors"]
    sys.exit(main(names, "--vectors" in sys.argv))
