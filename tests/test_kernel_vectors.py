# SPDX-License-Identifier: GPL-2.0-or-later
"""Port walks and hashes of single functions: all agree, and spoiled ones are noticed."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel.conform import conform, conform_files, read_recorded
from natmodel.errors import BadInput
from natmodel.kernel_vectors import read_hashes, read_walks
from natmodel.lines import TREES, Version
from natmodel.vectors import Recorded, Refused, Walk
from tests.spoiling import spoiled

FOLDER = Path(__file__).parent / "vectors" / "kernel"
WALKS, HASHES = (FOLDER / f"vectors_{name}.json.xz" for name in ("unique_tuple", "hash"))


@cache
def text(path: Path) -> str:
    return lzma.decompress(path.read_bytes()).decode()


def walks() -> list[dict[str, Any]]:
    """All of them, new each time."""
    loaded: list[dict[str, Any]] = json.loads(text(WALKS))
    return loaded


def hashes() -> dict[str, list[dict[str, Any]]]:
    loaded: dict[str, list[dict[str, Any]]] = json.loads(text(HASHES))
    return loaded


def fields_that_differ(recorded: Recorded) -> list[str]:
    return [difference.field for difference in conform(recorded).differences]


# ── the model does what the kernels did ─────────────────────────────────────────────────────────


def test_all_walks_and_hashes_agree() -> None:
    report = conform_files([WALKS, HASHES])
    assert (report.exit_code, report.total("agree")) == (0, 813 + 133)
    kinds: Counter[str] = Counter()
    for (_, kind, _), n in report.counts.items():
        kinds[kind] += n
    assert kinds == {
        "port_walk": 813,
        "conntrack_hash": 48,
        "bysource_hash": 35,
        "secure_port": 20,
        "best_ip": 30,
    }


def test_a_walk_is_played_on_the_row_of_its_tree() -> None:
    rows = {}
    for recorded in read_walks(walks(), "walks"):
        assert isinstance(recorded.vector, Walk)
        rows[recorded.release] = recorded.vector.row
    assert len(rows) == 14
    assert rows == {kernel: TREES[Version.of(kernel)] for kernel in rows}


# ── what is spoiled is noticed ──────────────────────────────────────────────────────────────────


def changed_walk(wanted: Callable[[dict[str, Any]], bool], **fields: object) -> list[str]:
    """The fields in which the first such walk differs once some of its own are others."""
    found = next(walk for walk in walks() if wanted(walk))
    (recorded,) = read_walks([found | fields], "walks")
    assert recorded.vector != next(read_walks([found], "walks")).vector
    return fields_that_differ(recorded)


def long(walk: dict[str, Any]) -> bool:
    return len(walk["probes"]) > 2 and walk["attempts_left"] is not None


def test_every_field_of_a_walk_is_compared() -> None:
    walk = next(filter(long, walks()))
    assert changed_walk(long, result=walk["result"] ^ 1) == ["result"]
    assert changed_walk(long, probes=walk["probes"][:-1]) == ["probes"]
    assert changed_walk(long, probes=walk["probes"][::-1]) == ["probes"]
    assert changed_walk(long, attempts_left=None) == ["attempts_left"]
    assert changed_walk(long, attempts_left=walk["attempts_left"][1:]) == ["attempts_left"]
    assert changed_walk(long, rover_after=walk["rover_after"] ^ 1) == ["rover_after"]


def test_what_a_walk_was_given_counts() -> None:
    assert "probes" in changed_walk(long, used="none")
    rover = [w for w in walks() if w["rover_after"] != w["rover_before"] and len(w["used"]) > 1]
    assert changed_walk(lambda walk: walk == rover[0], rover_before=rover[0]["rover_before"] ^ 8)
    assert changed_walk(lambda walk: walk == rover[0], flags=rover[0]["flags"] ^ 4)


def test_random_values_that_run_out_are_told() -> None:
    """The rounds of a walk over a full range draw five values."""
    full = [w for w in walks() if len(w["probes"]) == 248]
    assert full
    assert not changed_walk(lambda walk: walk == full[0], rnd_u32=full[0]["rnd_u32"][:5])
    fewer = changed_walk(lambda walk: walk == full[0], rnd_u32=full[0]["rnd_u32"][:3])
    assert {"result", "probes"} <= set(fewer)


def test_every_hash_is_compared() -> None:
    for kind, entries in hashes().items():
        for entry in entries:
            result = entry["result"]
            wrong = "0b" + result[2:] if isinstance(result, str) else result ^ 1
            (recorded,) = read_hashes({kind: [entry | {"result": wrong}]}, "hashes")
            assert fields_that_differ(recorded) == ["result"]


def test_a_difference_is_shown(tmp_path: Path) -> None:
    walk = next(filter(long, walks()))
    walk["probes"][1] ^= 0x8000
    (tmp_path / "walks.json").write_text(json.dumps([walk], indent=1))
    report = conform_files([tmp_path / "walks.json"])
    assert report.exit_code == 1
    head, field, *_ = report.text().splitlines()[3:]
    assert head == f"{walk['kernel']}/walk/0001 differs ({tmp_path / 'walks.json'}, entry 1)"
    assert field == "  probes: first at item 2"


# ── what is refused, and what is bad input ──────────────────────────────────────────────────────


def refusal(recorded: Recorded) -> str:
    assert isinstance(recorded.vector, Refused)
    return recorded.vector.why


def test_what_no_row_plays_is_refused() -> None:
    for kernel in ("2.4.37", "linux"):
        (recorded,) = read_walks([walks()[0] | {"kernel": kernel}], "walks")
        assert refusal(recorded) == "no row for this release"
    (recorded,) = read_walks([walks()[0] | {"colour": 1}], "walks")
    assert "colour" in refusal(recorded)
    (entry, *_) = hashes()["secure_port"]
    (recorded,) = read_hashes({"secure_port": [entry | {"gen": "sp_new"}]}, "hashes")
    assert recorded.release == "sp_new"
    assert "generation" in refusal(recorded)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ([{}], "entry 1: kernel: missing"),
        ([], "no vectors"),
        ([7], "entry 1: the vector: an object is wanted, not 7"),
        ({"best_ip": 5}, "best_ip: a list is wanted, not 5"),
        ({"best_ip": [{"gen": "bi_34"}]}, "best_ip 1: l3num: missing"),
        ({"best_ip": [], "worst_ip": []}, "worst_ip: the format has no such field"),
    ],
)
def test_bad_documents_are_bad_input(tmp_path: Path, document: object, complaint: str) -> None:
    (tmp_path / "some.json").write_text(json.dumps(document))
    with pytest.raises(BadInput) as caught:
        conform_files([tmp_path / "some.json"])
    assert str(caught.value).startswith(f"{tmp_path / 'some.json'}")
    assert complaint in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("used", "some"),
        ("used", [70000]),
        ("used", 5),
        ("probes", [True]),
        ("attempts_left", 5),
        ("rnd_u32", [-1]),
        ("orig_key", 65536),
        ("manip", 5),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object) -> None:
    document = [walks()[0], walks()[1] | {field: value}]
    if (field, value) == ("used", "some"):
        assert refusal(list(read_walks(document, "walks"))[1]).startswith(field)
        return
    with pytest.raises(BadInput, match=f"^walks, entry 2: {field}"):
        list(read_walks(document, "walks"))


def test_a_document_that_ends_too_early_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "short.json").write_text(text(WALKS)[:5000])
    with pytest.raises(BadInput, match=r"short\.json: not JSON: "):
        conform_files([tmp_path / "short.json"])


@given(st.integers(0, 812), st.data())
def test_a_spoiled_walk_is_played_refused_or_bad_input(number: int, data: st.DataObject) -> None:
    value = data.draw(spoiled(walks()[number]))
    with suppress(BadInput):
        (recorded,) = read_walks([value], "walks")
        conform(recorded)


@given(st.sampled_from(sorted(hashes())), st.integers(0, 19), st.data())
def test_a_spoiled_hash_is_played_refused_or_bad_input(
    kind: str, number: int, data: st.DataObject
) -> None:
    value = data.draw(spoiled(hashes()[kind][number]))
    with suppress(BadInput):
        (recorded,) = read_hashes({kind: [value]}, "hashes")
        conform(recorded)


# ── files ───────────────────────────────────────────────────────────────────────────────────────


def test_a_file_is_what_its_content_says(tmp_path: Path) -> None:
    """Whatever its name, compressed or not, on one line or on many."""
    for n, (document, indent) in enumerate(
        ((walks()[:3], 1), (walks()[:3], None), (hashes(), 1), (hashes(), None))
    ):
        content = json.dumps(document, indent=indent).encode()
        for path, stored in (
            (tmp_path / f"{n}.jsonl", content),
            (tmp_path / f"{n}.xz", lzma.compress(content)),
        ):
            path.write_bytes(stored)
            kinds = [recorded.kind for recorded in islice(read_recorded(path), 3)]
            wanted = "port_walk" if isinstance(document, list) else "conntrack_hash"
            assert kinds == [wanted] * 3


def test_lines_are_read_as_before() -> None:
    file = FOLDER.parent / "6.12.117.sharp.jsonl.xz"
    assert next(iter(read_recorded(file))).where == f"{file}, line 1"
