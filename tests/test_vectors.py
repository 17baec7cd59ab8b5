# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading recorded vectors: what is taken, what is refused, and what is bad input."""

from __future__ import annotations

import json
import lzma
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natmodel.errors import BadInput
from natmodel.values import AF_INET6, Zone
from natmodel.vectors import (
    KINDS,
    Confirm,
    Hash,
    Interleave,
    Recorded,
    Refused,
    Select,
    read_vector,
    read_vectors,
)
from natmodel.world import BOTH, Entry, Stamp
from tests.spoiling import spoiled

VECTORS = Path(__file__).parent / "vectors"


def sample(kind: str, release: str = "6.12.117") -> dict[str, Any]:
    """The first vector of a kind, as JSON."""
    vector: dict[str, Any] = json.loads(sample_line(kind, release))
    return vector


@cache
def sample_line(kind: str, release: str) -> str:
    with lzma.open(VECTORS / f"{release}.jsonl.xz", "rt", encoding="utf-8") as lines:
        return next(line for line in lines if json.loads(line)["kind"] == kind)


def read(vector: object) -> Recorded:
    return read_vector(json.dumps(vector), "here")


def refusal(vector: object) -> str:
    """Why it is refused."""
    refused = read(vector).vector
    assert isinstance(refused, Refused)
    return refused.why


def complaint(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        read_vector(text, "vectors.jsonl, line 7")
    message = str(caught.value)
    assert message.startswith("vectors.jsonl, line 7: ")
    assert "\n" not in message
    return message.removeprefix("vectors.jsonl, line 7: ")


# ── what the format can say ─────────────────────────────────────────────────────────────────────


def test_each_kind_is_read_into_its_own_value() -> None:
    kinds = {"unique_tuple": Select, "confirm": Confirm, "schedule": Interleave, "hash": Hash}
    assert kinds.keys() == KINDS.keys()
    for kind, value in kinds.items():
        assert isinstance(read(sample(kind)).vector, value)


def entries_of(*state: dict[str, Any]) -> tuple[Entry | Stamp, ...]:
    vector = sample("unique_tuple")
    vector["state"] = list(state)
    select = read(vector).vector
    assert isinstance(select, Select)
    return select.table.entries


ENTRY = {
    "proto": "udp",
    "orig": ["2001:db8::1", 1, "2001:db8::2", 53],
    "reply": ["2001:db8::2", 53, "2001:db8::9", 4000],
    "status": ["CONFIRMED"],
}
STAMP = {**ENTRY, "fill": True, "field": "reply.dport", "from": 4000, "to": 4009, "id0": 100}


def test_an_entry_with_every_field() -> None:
    (entry,) = entries_of(
        {
            **ENTRY,
            "id": 100,
            "tcp_state": "TIME_WAIT",
            "td_end": 0xFFFFFFFF,
            "timeout": -5,
            "zone": [7, 1],
            "net": 1,
            "refcount": 0,
            "in_table": "reply_only",
            "bysource": True,
        }
    )
    assert isinstance(entry, Entry)
    assert (entry.hashed, entry.in_bysource) == ((1,), True)
    ct = entry.ct
    assert ct.orig.l3num == AF_INET6
    assert (ct.zone, ct.net, ct.refcount, ct.timeout, ct.tcp_state) == (Zone(7, 1), 1, 0, -5, 7)


def test_an_entry_without_the_optional_fields() -> None:
    (entry,) = entries_of({**ENTRY, "id": 100})
    assert isinstance(entry, Entry)
    assert (entry.hashed, entry.in_bysource, entry.ct.timeout) == (BOTH, False, 30000)
    assert (entry.ct.zone, entry.ct.net, entry.ct.refcount) == (Zone(0, 3), 0, 1)


def test_a_stamp_makes_the_entries_that_the_format_says() -> None:
    (stamp,) = entries_of(
        {
            **STAMP,
            "except": [[4003, 4004], [4001, 4003], [4009, 4009]],
            "orig_sport_step": 1,
            "orig_dport_step": 1,
            "count": 5,
            "in_table": "reply_only",
            "bysource": True,
            "zone": [3, 2],
        }
    )
    assert isinstance(stamp, Stamp)
    conns = [stamp.conn(value) for value in stamp.values()]
    assert [ct.reply.dport for ct in conns] == [4000, 4005, 4006, 4007, 4008]
    assert [(ct.id, ct.orig.sport, ct.orig.dport) for ct in conns] == [
        (100 + k, 1 + k, 1 + k) for k in range(5)
    ]
    assert (stamp.hashed, stamp.in_bysource) == ((1,), True)
    assert all(ct.zone == Zone(3, 2) for ct in conns)


@pytest.mark.parametrize("field", ["reply.sport", "reply.id"])
def test_a_stamp_can_count_in_the_source_key(field: str) -> None:
    (stamp,) = entries_of({**STAMP, "field": field})
    assert isinstance(stamp, Stamp)
    assert [stamp.conn(value).reply.sport for value in (4000, 4009)] == [4000, 4009]
    assert stamp.conn(4009).orig == stamp.template.orig


def test_a_stamp_answers_as_its_entries_would() -> None:
    for steps in ({}, {"orig_sport_step": 1}, {"orig_dport_step": 1}):
        for in_table in ("both", "reply_only", "none"):
            (stamp,) = entries_of(
                {**STAMP, **steps, "in_table": in_table, "except": [[4002, 4003]]}
            )
            assert isinstance(stamp, Stamp)
            conns = [stamp.conn(value) for value in stamp.values()]
            for t in {t for ct in conns for t in (ct.orig, ct.reply)}:
                nodes = [(ct.id, d) for ct in conns for d in stamp.hashed if ct.tuplehash(d) == t]
                assert [(n.ct.id, n.direction) for n in stamp.nodes_of(t)] == nodes[::-1]
                same = [ct for ct in conns if (ct.orig.src, ct.orig.sport) == (t.src, t.sport)]
                assert list(stamp.with_source(t)) == same[::-1]


def test_reversed_ranges_and_the_own_entry_are_taken() -> None:
    vector = sample("unique_tuple")
    vector["config"] |= {"min_proto": 2000, "max_proto": 1000}
    vector["ct"]["self_in_table"] = True
    select = read(vector).vector
    assert isinstance(select, Select)
    assert (select.range.min_proto, select.range.max_proto) == (2000, 1000)
    assert select.table.entries[-1] == Entry(select.ct)


# ── what is refused ─────────────────────────────────────────────────────────────────────────────


def test_a_release_without_a_row_is_refused() -> None:
    assert refusal(sample("unique_tuple") | {"release": "2.4.37"}) == "no row for this release"


def test_an_unknown_kind_is_refused() -> None:
    assert refusal(sample("hash") | {"kind": "flood"}) == "no such kind of vector"


def test_an_unknown_field_is_refused() -> None:
    assert "colour" in refusal(sample("confirm") | {"colour": "blue"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("proto", "igmp"), ("manip", "BOTH"), ("fault", "page_fault")],
)
def test_an_unknown_word_is_refused(field: str, value: object) -> None:
    assert field in refusal(sample("unique_tuple") | {field: value})


def test_an_icmp_type_without_an_answer_is_refused() -> None:
    vector = sample("unique_tuple")
    vector |= {"proto": "icmp", "protonum": 1, "orig_tuple": ["10.0.0.1", 5, "10.0.0.2", 3 * 256]}
    assert refusal(vector) == "orig_tuple: icmp type 3 has no answer"


def test_other_ticks_are_refused() -> None:
    assert "ticks" in refusal(sample("confirm") | {"hz": 1000})


# ── bad input ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["", "{", "[1,", '{"id": NaN', "nul", "\ufeff{}", "[" * 100_000])
def test_what_is_not_json_is_bad_input(text: str) -> None:
    assert complaint(text).startswith("not JSON: ")


@pytest.mark.parametrize("text", ["[]", "7", '"id"', "null", '{"kind": "hash"}'])
def test_what_is_no_vector_is_bad_input(text: str) -> None:
    complaint(text)


@pytest.mark.parametrize(
    ("kind", "field", "value", "says"),
    [
        ("unique_tuple", "orig_tuple", ["10.0.0.1", 70000, "10.0.0.2", 80], "70000"),
        ("unique_tuple", "orig_tuple", ["10.0.0.256", 7, "10.0.0.2", 80], "an address"),
        ("unique_tuple", "orig_tuple", ["10.0.0.1", 7, "2001:db8::1", 80], "one family"),
        ("unique_tuple", "orig_tuple", ["10.0.0.1", True, "10.0.0.2", 80], "True"),
        ("unique_tuple", "state", {}, "a list"),
        ("unique_tuple", "state", [{**STAMP, "count": 11}], "holds 10"),
        ("unique_tuple", "state", [{**ENTRY, "id": 105}, STAMP], "105 is given twice"),
        ("unique_tuple", "n_probes", 99, "not the number of probes"),
        ("unique_tuple", "protonum", 200, "protonum"),
        ("confirm", "buckets", None, "an object"),
        ("confirm", "htable_size", 0, "htable_size"),
        ("schedule", "schedule", "ABC", "A and B"),
        ("hash", "result", -1, "result"),
    ],
)
def test_a_wrong_shape_is_bad_input(kind: str, field: str, value: object, says: str) -> None:
    message = complaint(json.dumps(sample(kind) | {field: value}))
    assert field in message
    assert says in message


def test_a_draw_is_below_its_modulus() -> None:
    """SCHEMA: [name, value, modulus].  No recording can have drawn more."""
    vector = sample("confirm") | {"random": [["get_random_u32_below", 30, 30]]}
    assert "a number 0..29" in complaint(json.dumps(vector))


def test_a_missing_field_is_named() -> None:
    vector = sample("confirm")
    del vector["ct"]["orig"]
    assert complaint(json.dumps(vector)) == "ct.orig: missing"


def file_complaint(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        list(read_vectors(path))
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_files_that_are_no_vectors_are_bad_input(tmp_path: Path) -> None:
    def made(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    good = (VECTORS / "6.12.117.sharp.jsonl.xz").read_bytes()
    assert "No such file" in file_complaint(tmp_path / "missing.jsonl")
    assert "irectory" in file_complaint(tmp_path)
    assert "no vectors" in file_complaint(made("empty.jsonl", b""))
    assert "no vectors" in file_complaint(made("blank.jsonl", b"\n \n"))
    assert "no vectors" in file_complaint(made("empty.jsonl.xz", lzma.compress(b"")))
    assert "line 1: not text" in file_complaint(made("binary.jsonl", b"\x7fELF\x02\x01\xff\xfe"))
    assert "xz" in file_complaint(made("plain.jsonl.xz", b'{"id": "no xz"}\n'))
    assert "end too early" in file_complaint(made("short.jsonl.xz", good[:-200]))
    assert "corrupt" in file_complaint(made("flip.jsonl.xz", good[:500] + b"?" + good[501:]))
    assert "line 2: " in file_complaint(
        made("second.jsonl", json.dumps(sample("hash")).encode() + b'\n{"id": 5}\n')
    )


LINE = json.dumps({"kind": "flood", "id": "1", "release": "6.12.117"}).encode() + b"\n"
STREAM = lzma.compress(LINE)


@pytest.mark.parametrize(
    "after",
    [
        b"x",
        b"trailing garbage\n",
        b"\0",
        b"\0\0\0\0\0\0",
        b"\0\0\0\0x",
        LINE,
        STREAM[:-1],
        STREAM[:3],
        STREAM + b"\0\0\0\0" + STREAM[:-9] + b"?" + STREAM[-8:],
        lzma.compress(LINE, lzma.FORMAT_ALONE),
    ],
)
@pytest.mark.parametrize("times", [1, 20_000])
def test_what_follows_the_last_stream_is_bad_input(
    tmp_path: Path, after: bytes, times: int
) -> None:
    """As `xz -t` has it; short files, and such as are read in pieces."""
    path = tmp_path / "x.jsonl.xz"
    path.write_bytes(lzma.compress(LINE * times, preset=0) + after)
    assert "xz" in file_complaint(path)


@pytest.mark.parametrize("padding", [b"", b"\0\0\0\0", bytes(1 << 17)])
def test_a_file_of_several_streams_is_whole(tmp_path: Path, padding: bytes) -> None:
    path = tmp_path / "x.jsonl.xz"
    path.write_bytes(STREAM + padding + lzma.compress(b"") + STREAM + padding)
    assert len(list(read_vectors(path))) == 2


def test_an_unreadable_file_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.jsonl"
    path.write_text("{}")

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert file_complaint(path).endswith("secret.jsonl: Permission denied")


def test_a_file_may_be_compressed_or_not_whatever_its_name(tmp_path: Path) -> None:
    line = json.dumps(sample("hash")).encode()
    for name, content in (("a.jsonl", line), ("b.jsonl", lzma.compress(line + b"\n\n"))):
        (tmp_path / name).write_bytes(content)
        assert len(list(read_vectors(tmp_path / name))) == 1


# ── anything at all ─────────────────────────────────────────────────────────────────────────────


def one_line(text: str) -> bool:
    """Is the text read, or complained of in one line?"""
    try:
        read_vector(text, "here")
    except BadInput as error:
        return str(error).isprintable()
    return True


@given(
    st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(json.dumps)
)
def test_any_text_is_a_vector_or_bad_input(text: str) -> None:
    assert one_line(text)


@given(st.binary(), st.sampled_from(["x.jsonl", "x.jsonl.xz"]), st.booleans())
def test_any_file_is_vectors_or_bad_input(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, compress: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(lzma.compress(content) if compress else content)
    file_complaint(path)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_any_spoiled_vector_is_read_refused_or_bad_input(kind: str, data: st.DataObject) -> None:
    assert one_line(json.dumps(data.draw(spoiled(sample(kind)))))
