# SPDX-License-Identifier: GPL-2.0-or-later
"""Our own rules, held by looking at the code."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

from natmodel import controls, ops
from natmodel.release import Release
from natmodel.releases import RELEASES
from tests import mutation

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "natmodel"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
PATHS = sorted((PACKAGE / "paths").glob("[a-z]*.py"))

# Data flows down this list: a module imports only from lines above its own.
LAYERS = """
values errors purity memory
hashes.memory hashes.bucket
hashes.jhash hashes.siphash hashes.md
hashes.conntrack hashes.by_source hashes.secure_port hashes.best_ips
hashes ops lines
blind release kernel_name
paths.nf_conntrack_extend
paths.nf_conntrack_find paths.nf_nat_used_tuple paths.nf_nat_l4proto_unique_tuple
paths.get_unique_tuple paths.nf_conntrack_confirm
paths.packet paths.nf_conntrack_proto_tcp
paths.nf_hooks
releases.range_flags releases.l4proto
releases.v2 releases.v3 releases.v4 releases.v5 releases.v6 releases.v7
releases controls
world
run draws threads schedule nat_text chances stretch clusters arrivals
system boot
router
symmetry scenario_file
rotation
scenario
explore lone
quotient dpor
census schedulers apart
odds
verdict fields
checkpoint
kept cells
trace vectors live release_text
kernel_vectors live_outcomes live_fill
render live_conform
conform sweep_text
sweep
testing
cli
__main__
"""
ORDER = {name: n for n, line in enumerate(LAYERS.split("\n")) for name in line.split()}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def trees(files: list[Path]) -> Iterator[tuple[Path, ast.Module]]:
    for path in files:
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The natmodel modules that a file imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module in ("natmodel", "natmodel.paths"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_imports_run_downward() -> None:
    wrong = []
    for path, tree in trees(MODULES):
        name = module_name(path)
        if name.endswith("__init__"):
            continue
        assert name in ORDER, f"{name} has no place in the order of modules"
        for other in imported(tree):
            home = other.removeprefix("natmodel.")
            if other.startswith("natmodel.") and home in ORDER and ORDER[home] >= ORDER[name]:
                wrong.append(f"{name} imports {home}")
    assert not wrong


def test_paths_know_no_world_no_clock_and_no_chance() -> None:
    allowed = {"natmodel.ops", "natmodel.release", "natmodel.values", "natmodel.hashes"}
    for path, tree in trees(PATHS):
        for other in imported(tree):
            known = other in allowed or other.startswith("natmodel.paths.")
            assert known or other in ("__future__", "attrs"), f"{path.name} imports {other}"


def test_asyncio_is_imported_nowhere() -> None:
    for path, tree in trees(MODULES):
        assert not any(name.startswith("asyncio") for name in imported(tree)), path


def test_paths_compare_no_releases() -> None:
    for path, tree in trees(PATHS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {("k", "name"), ("k", "covers")}, path


def test_used_questions_look_at_no_key() -> None:
    """They compare tuples as wholes: natmodel/stretch.py relies on it."""
    fields = {"src", "sport", "dst", "dport"}
    parts = {"key", *fields, *(f"with_{field}" for field in fields)}
    for name in ("nf_nat_used_tuple.py", "nf_conntrack_find.py"):
        tree = ast.parse((PACKAGE / "paths" / name).read_text(encoding="utf-8"))
        attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert attributes.isdisjoint(parts), name


def path_functions(tree: ast.Module) -> Iterator[ast.AsyncFunctionDef]:
    yield from (node for node in tree.body if isinstance(node, ast.AsyncFunctionDef))


def test_every_async_def_is_a_path_and_says_what_it_is() -> None:
    for path, tree in trees(PATHS):
        for function in path_functions(tree):
            decorators = [getattr(d, "id", None) for d in function.decorator_list]
            assert decorators == ["path"], f"{path.name}: {function.name}"
            assert ast.get_docstring(function), f"{path.name}: {function.name}"


def test_every_path_that_a_row_names_cites_its_kernel_function() -> None:
    for k in RELEASES.values():
        for name, body in bodies(k):
            assert "kernel:" in (inspect.getdoc(body) or "") or name == "new_connection", (
                f"{k.name}: {name} is {body.__name__}, which cites no kernel function"
            )


def test_a_goto_is_not_awaited() -> None:
    """`return await f()` of a path keeps a frame that `return f()` would let go."""
    paths = {function.name for _, tree in trees(PATHS) for function in path_functions(tree)}
    for path, tree in trees(PATHS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Await):
                call = node.value.value
                name = getattr(getattr(call, "func", None), "id", None)
                assert name not in paths, f"{path.name}, line {node.lineno}: return await {name}()"


def bodies(k: Release) -> Iterator[tuple[str, Any]]:
    """The paths that a row names."""
    for field in attrs.fields(Release):
        body = getattr(getattr(k, field.name), "__wrapped__", None)
        if body is not None:
            yield field.name, body


def test_every_path_is_used() -> None:
    """From a row, or from a path that is."""
    named = {body.__name__ for k in RELEASES.values() for _, body in bodies(k)}
    named |= {
        "packets",
        "packets_retransmitted",
        "nf_ct_ext_bump_genid",
        controls.nat_and_confirm_locked.__name__,
    }
    named |= {"resolve_normal_ct", "nf_nat_inet_fn", "nf_confirm"}  # natmodel.router calls them
    functions = {f.name: f for _, tree in trees(PATHS) for f in path_functions(tree)}
    todo = [functions[name] for name in named if name in functions]
    seen = {function.name for function in todo}
    for function in todo:
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id in functions and node.id not in seen:
                seen.add(node.id)
                todo.append(functions[node.id])
    assert seen == set(functions)


def test_rows_are_fully_written_and_neighbours_differ() -> None:
    assert all(field.default is attrs.NOTHING for field in attrs.fields(Release))
    rows = list(RELEASES.values())
    for a, b in pairwise(rows):
        names = [f.name for f in attrs.fields(Release) if f.name not in ("name", "covers")]
        assert any(getattr(a, name) is not getattr(b, name) for name in names)


def test_every_equivalent_mutant_that_is_listed_can_be_made() -> None:
    modules = {name.partition(": ")[0] for name in mutation.EQUIVALENT}
    made = {f"{module}: {change}" for module in modules for change in mutation.changes_of(module)}
    assert set(mutation.EQUIVALENT) <= made


def test_only_ops_yield() -> None:
    """The one `yield` that a path's await comes down to."""
    tree = ast.parse((PACKAGE / "ops.py").read_text(encoding="utf-8"))
    assert sum(isinstance(node, ast.Yield) for node in ast.walk(tree)) == 1
    assert issubclass(ops.Atomic, ops.Op)


# ── words and files ─────────────────────────────────────────────────────────────────────────────


def tracked() -> list[Path]:
    """The files of the repository; of a source distribution, those that it came with."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    names = listed.stdout.split() or [
        str(path.relative_to(ROOT))
        for folder in ("natmodel", "tests", "proofs", "docs")
        for path in (ROOT / folder).rglob("*.*")
    ]
    return [ROOT / name for name in names if not name.endswith(".xz") and (ROOT / name).is_file()]


def banned_words() -> list[str]:
    """The last column of the table in docs/words.md."""
    rows = (ROOT / "docs" / "words.md").read_text(encoding="utf-8").splitlines()
    cells = [row.split("|")[3] for row in rows if row.count("|") == 4]
    return [word.strip() for cell in cells[2:] for word in cell.split(",") if word.strip()]


@pytest.mark.parametrize("word", banned_words())
def test_one_word_for_one_thing(word: str) -> None:
    for path in tracked():
        if path.suffix in (".py", ".md") and path.name not in ("words.md", "test_house.py"):
            text = path.read_text(encoding="utf-8")
            assert not re.findall(rf"\b{word}s?\b", text, re.IGNORECASE), path


def test_there_are_banned_words() -> None:
    assert "collision" in banned_words()


def test_every_python_file_names_its_licence() -> None:
    for path in tracked():
        if path.suffix == ".py":
            first = path.read_text(encoding="utf-8").partition("\n")[0]
            assert first == "# SPDX-License-Identifier: GPL-2.0-or-later", path


def test_no_path_of_a_machine() -> None:
    machine = re.compile(r"/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/\w")
    for path in tracked():
        if path.suffix in (".py", ".md", ".toml", ".ini", ".sh") or path.name == "run":
            found = machine.search(path.read_text(encoding="utf-8"))
            assert found is None, path
