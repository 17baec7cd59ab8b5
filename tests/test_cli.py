# SPDX-License-Identifier: GPL-2.0-or-later
"""The command: exit codes, one line for bad input, quiet ends, and a command that pastes back."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import natmodel
from natmodel import cli
from natmodel.scenario import Scenario
from tests.tracing import FOUR_PORTS, LONG_V6, POD

ROOT = Path(__file__).parent.parent
Capture = pytest.CaptureFixture[str]
DROP = "00000 111111 0"


def run(capsys: Capture, *args: str) -> tuple[int, str, str]:
    code = cli.main(args)
    out, err = capsys.readouterr()
    return code, out, err


def without_states(text: str) -> str:
    """A replay says nothing about states."""
    return "".join(line for line in text.splitlines(True) if not line.startswith("    states "))


# ── exit codes ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ("check", 1),
        ("check --kernel 4.19.66", 1),
        ("check --nat none", 0),
        ("check --exhaustive --nat none", 0),
        ("check --max-states 5", 3),
        ("check --max-seconds 0", 3),
        ("replay --schedule '00000 111111 0'", 1),
        ("replay --schedule '000000 1111'", 0),
        ("replay --schedule 0", 0),
        ("replay --schedule ''", 0),
        ("releases", 0),
        ("--version", 0),
        ("--help", 0),
        ("check -h", 0),
        ("", 0),
    ],
)
def test_exit_codes(capsys: Capture, args: str, code: int) -> None:
    done, out, err = run(capsys, *shlex.split(args))
    assert (done, err) == (code, "")
    assert out
    assert all(len(line) <= 80 for line in out.splitlines()) or args == "releases"


def test_check_prints_verdict_bound_states_and_trace(capsys: Capture) -> None:
    _, out, _ = run(capsys, "check")
    assert out.startswith("a packet is dropped ")
    assert Scenario.default().bound() in " ".join(out.split())
    assert "35 seen; no schedule shorter than 12 steps drops a packet" in out
    assert run(capsys, "check")[1] == out


def test_only_an_exhaustive_check_says_always(capsys: Capture) -> None:
    args = ("--nat", "snat to 203.0.113.1:4000", "--packet", POD, "--occupied", "4000")
    assert run(capsys, "check", *args)[1].startswith("a packet is dropped ")
    assert run(capsys, "check", "--exhaustive", *args)[1].startswith("every schedule drops")


def test_a_file_is_read_and_flags_override_it(capsys: Capture, tmp_path: Path) -> None:
    scenario = Scenario.from_arguments(nat=FOUR_PORTS, occupied=["4000"])
    for name, text in (("s.toml", scenario.to_toml()), ("s.json", scenario.to_json())):
        file = tmp_path / name
        file.write_text(text)
        code, out, _ = run(capsys, "check", str(file), "--format", "json")
        assert code == 1
        assert json.loads(out)["scenario"] == json.loads(scenario.to_json())
        code, out, _ = run(capsys, "check", str(file), "--nat", "none")
        assert (code, "no rule" in out) == (0, True)


# ── JSON, files ─────────────────────────────────────────────────────────────────────────────────


def test_check_in_json(capsys: Capture) -> None:
    code, out, _ = run(capsys, "check", "--format", "json")
    data = json.loads(out)
    assert code == 1
    assert data["schema"] == "natmodel.check/1"
    assert data["verdict"] == "sometimes"
    assert data["states"] == 35
    assert data["witness"]["schema"] == "natmodel.trace/1"
    assert data["witness"]["schedule"] == DROP
    assert data["witness"]["causes"][0]["kind"] == "race"
    assert data["witness"]["steps"][-1]["verdict"] == "NF_DROP"
    assert Scenario.from_text(json.dumps(data["scenario"])) == Scenario.default()


def test_no_drop_in_json(capsys: Capture) -> None:
    code, out, _ = run(capsys, "check", "--nat", "none", "--format", "json")
    data = json.loads(out)
    assert (code, data["verdict"], data["witness"]) == (0, "never", None)


def test_replay_in_json(capsys: Capture) -> None:
    _, out, _ = run(capsys, "replay", "--schedule", DROP, "--format", "json")
    data = json.loads(out)
    assert data["schema"] == "natmodel.replay/1"
    assert [step["cpu"] for step in data["trace"]["steps"]] == [0] * 5 + [1] * 6 + [0]


def test_output_goes_to_a_file(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    code, out, _ = run(capsys, "check", "-o", str(file))
    assert (code, out) == (1, "")
    assert file.read_text(encoding="utf-8") == run(capsys, "check")[1]


def test_ascii(capsys: Capture) -> None:
    _, out, _ = run(capsys, "check", "--ascii")
    assert out.isascii()
    assert "---" in out


def test_a_stdout_without_line_characters_gets_ascii(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("natmodel.render.DRAWN", "\udcff")
    assert run(capsys, "check")[1].isascii()


# ── terminals ───────────────────────────────────────────────────────────────────────────────────


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")


def test_colour_says_nothing_that_the_text_does_not(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    _, bright, _ = run(capsys, "check")
    assert "\033[2m" in bright
    monkeypatch.setenv("NO_COLOR", "1")
    _, dull, _ = run(capsys, "check")
    assert "\033" not in dull
    assert re.sub(r"\033\[[0-9;]*m", "", bright) == dull


def test_a_wide_terminal_is_used_and_a_narrow_one_is_not(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    wide = run(capsys, "check")[1]
    assert "find_appropriate_src" in wide
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, run(capsys, "check")[1].splitlines())) == 80


def test_progress_is_for_terminals(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("natmodel.cli.time.monotonic", iter(range(10_000)).__next__)
    _, out, err = run(capsys, "check")
    assert "states seen" in err
    assert err.endswith("\r\033[K")
    assert "states seen" not in out


# ── bad input ───────────────────────────────────────────────────────────────────────────────────

BAD = [
    ("check --kernel 2.4.0", "2.4.0"),
    ("check --nat frobnicate", "frobnicate"),
    ("check --nat 'snat'", "snat"),
    ("check --nat 'snat to 203.0.113.1:2000-1000'", "2000-1000"),
    ("check --nat 'masquerade to :0'", "0"),
    ("check --nat 'masquerade to :70000'", "70000"),
    ("check --nat 'snat to 203.0.113.1-2001:db8::1'", "family"),
    ("check --nat 'snat to [2001:db8::1]:80'", "family"),
    ("check --nat ''", "nat"),
    ("check --packet 'tcp 10.0.0.1:0 > 10.0.0.2:80'", "0"),
    ("check --packet 'tcp 10.0.0.1:70000 > 10.0.0.2:80'", "70000"),
    ("check --packet 'tcp 10.0.0.1:1 > [2001:db8::1]:80'", "family"),
    ("check --packet 'tcp 10.0.0.1:1'", "packet"),
    ("check --occupied 5-4", "5-4"),
    ("check --occupied 70000", "70000"),
    ("check --outside 1.2.3", "1.2.3"),
    ("check --cpus 0", "cpus"),
    ("check --cpus 99", "cpus"),
    ("check --cpus x", "cpus"),
    ("check --rover foo=1", "foo"),
    ("check --rover tcp=7", "tcp"),
    ("check --kernel 4.19.304 --rover tcp=7", "tcp"),
    ("check --nat 'masquerade random random'", "'random' is given twice"),
    ("check --occupied '80,'", "comma"),
    ("check --max-seconds nan", "nan"),
    ("check --max-seconds -1", "max-seconds"),
    ("check --boot x", "boot"),
    ("check --format xml", "xml"),
    ("check --width 3", "width"),
    ("check --max-states 0", "max-states"),
    ("check --bogus", "--bogus"),
    ("check a b", "b"),
    ("check /", "/"),
    ("check -o /", "/"),
    ("check missing.toml", "missing.toml"),
    ("replay", "--schedule"),
    ("replay --schedule 0x", "cpu 33"),
    ("replay --schedule '0[5]'", "step 1"),
    ("replay --schedule '0000000 0'", "step 7"),
    ("replay --schedule '0!'", "character 2"),
    ("conform", "FILE"),
    ("conform /", "/"),
    ("conform missing.jsonl", "missing.jsonl"),
    ("conform missing.jsonl --jobs 0", "jobs"),
    ("conform missing.jsonl --jobs x", "jobs"),
    ("frobnicate", "frobnicate"),
    ("--bogus", "--bogus"),
]


def refused(capsys: Capture, *args: str) -> str:
    """The one line that says why."""
    code, out, err = run(capsys, *args)
    assert (code, out) == (2, "")
    assert err.startswith("natmodel: ")
    assert err.endswith("\n")
    assert err[:-1].isprintable()
    return err


@pytest.mark.parametrize(("args", "named"), BAD)
def test_bad_input_is_one_line_that_names_it(capsys: Capture, args: str, named: str) -> None:
    assert named in refused(capsys, *shlex.split(args))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x7fELF\x00\xff\xfe",
        b"packets = [",
        b'{"packets": ["tcp 10.0.0.1:1 > 10.0',
        b'packets = ["tcp 10.0.0.1:1 > 10.0.0.2:80"]\nfoo = 1\n',
        b"\xff\xfep\0",
    ],
)
def test_bad_files_are_named(capsys: Capture, tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(raw)
    assert "bad.toml" in refused(capsys, "check", str(file))
    vectors = tmp_path / "bad.jsonl"
    vectors.write_bytes(raw)
    assert "bad.jsonl" in refused(capsys, "conform", str(vectors))


# root reads everything: it becomes nobody first, once it has imported what it needs
AS_NOBODY = """
import os, sys
from natmodel import cli, conform
os.chdir(sys.argv[1])
cli.main(["check", "open.toml"])
if os.geteuid() == 0:
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    except OSError:
        sys.exit(77)
print(cli.main(["check", "open.toml"]))
print(cli.main(["check", "secret.toml"]), cli.main(["conform", "secret.jsonl"]))
"""


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for name in ("secret.toml", "secret.jsonl", "open.toml"):
        (tmp_path / name).write_text(Scenario.default().to_toml())
        (tmp_path / name).chmod(0o644 if name == "open.toml" else 0)
    command = [sys.executable, "-c", AS_NOBODY, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode == 77:
        pytest.skip("root cannot become nobody here")
    assert done.stdout.splitlines()[-2:] == ["1", "2 2"], done.stderr
    assert done.stderr.splitlines() == [
        "natmodel: secret.toml: Permission denied",
        "natmodel: secret.jsonl: Permission denied",
    ]


OPTIONS = "--kernel --nat --packet --cpus --occupied --schedule --width --boot --rover --outside -o"
WORDS = st.sampled_from(
    [*OPTIONS.split(), "--jobs", "check", "replay", "conform", "releases", "sweep", "--", "\n\0"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORDS | st.text(max_size=5), max_size=6))
def test_random_words_make_no_traceback(
    capsys: Capture, tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    here = Path.cwd()
    os.chdir(tmp_path_factory.getbasetemp())
    try:
        code, _, err = run(capsys, *words)
    finally:
        os.chdir(here)
    assert code in (0, 1, 2, 3)
    if code == 2:
        assert err.startswith("natmodel: ")
        assert err[:-1].isprintable()


# ── quiet ends ──────────────────────────────────────────────────────────────────────────────────


def test_control_c_ends_quietly(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "check", interrupted)
    code, out, err = run(capsys, "check")
    assert (code, out, err.strip()) == (130, "", "")


needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.mark.parametrize(
    "command",
    ["check", "replay --schedule 0", "releases", "--help", "check --help", "--version", "",
     "check --format json", "check --kernel x", "--bogus", "check missing.toml"],
)  # fmt: skip
@pytest.mark.parametrize(
    "streams",
    [">&-", ">&- 2>&-", *(pytest.param(s, marks=needs_full) for s in (">/dev/full", ">/dev/full 2>&1"))],
)  # fmt: skip
def test_what_cannot_be_written_is_2(command: str, streams: str) -> None:
    """Never 1 or 0, whose meaning nobody has read."""
    code, said = exit_code(f"{command} {streams}")
    assert code == 2
    assert said == "" or (said.startswith("natmodel: ") and said.count("\n") == 1)
    if streams in (">&-", ">/dev/full"):
        assert said


@pytest.mark.parametrize(
    "stderr", ["2>&-", pytest.param("2>/dev/full", marks=needs_full), "2>&- </dev/null"]
)
def test_what_cannot_be_complained_of_is_still_said_by_the_exit_code(stderr: str) -> None:
    for command, code in (("check", 1), ("check --nat none", 0), ("check --kernel x", 2)):
        assert exit_code(f"{command} {stderr} >/dev/null") == (code, "")


def test_a_result_for_a_file_needs_no_stdout(tmp_path: Path) -> None:
    file = tmp_path / "out.txt"
    assert exit_code(f"check -o {shlex.quote(str(file))} >&-") == (1, "")
    assert file.read_text(encoding="utf-8").startswith("a packet is dropped")


def exit_code(line: str) -> tuple[int, str]:
    """(exit code, stderr) of the command with these arguments and redirections."""
    script = f"{shlex.quote(sys.executable)} -m natmodel {line}"
    done = subprocess.run(
        ["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("args", [["check"], ["--help"], ["check", "--help"], ["releases"]])
def test_a_reader_that_goes_away_is_no_error(args: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "natmodel", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 141


# ── a real shell, a fresh interpreter ───────────────────────────────────────────────────────────


def in_a_shell(script: str) -> str:
    """The script's output; in it `natmodel` is the command under test."""
    python = shlex.quote(sys.executable)
    function = f'natmodel() {{ {python} -m natmodel "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-c", function + script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.stderr == ""
    return done.stdout


def test_the_printed_command_shows_the_same_trace(capsys: Capture, tmp_path: Path) -> None:
    file = tmp_path / "it's a scenario.toml"
    file.write_text(Scenario.from_arguments(kernel="4.19.66", nat=FOUR_PORTS).to_toml())
    packets = [word for packet in LONG_V6 for word in ("--packet", packet)]
    texts = [
        without_states(run(capsys, "check", *args)[1])
        for args in ([], packets, [str(file)], ["--nat", "masquerade random"])
    ]
    commands = [text.partition("    again      ")[2] for text in texts]
    assert "toml" in commands[2]
    assert in_a_shell("".join(commands)) == "".join(texts)


def test_a_file_whose_name_begins_like_an_option(capsys: Capture, tmp_path: Path) -> None:
    """The command that is printed does not say what was typed, but what works."""
    (tmp_path / "-x.toml").write_text(Scenario(kernel="4.19.66").to_toml())
    here = Path.cwd()
    os.chdir(tmp_path)
    try:
        text = without_states(run(capsys, "check", "--", "-x.toml")[1])
    finally:
        os.chdir(here)
    command = text.partition("    again      ")[2]
    assert "./-x.toml" in command
    root = (
        f"PYTHONPATH={shlex.quote(str(ROOT))}; export PYTHONPATH; cd {shlex.quote(str(tmp_path))}\n"
    )
    assert in_a_shell(root + command) == text


def test_a_file_that_passes_by_is_written_out(tmp_path: Path) -> None:
    """A pipe, or whatever stdin was, is not there again."""
    file, pipe = tmp_path / "s.toml", tmp_path / "pipe"
    file.write_text(Scenario(kernel="4.19.66").to_toml())
    os.mkfifo(pipe)
    name, fifo = shlex.quote(str(file)), shlex.quote(str(pipe))
    for script in (
        f"natmodel check /dev/stdin <{name}",
        f"cat {name} | natmodel check /dev/stdin",
        f"cd /dev && PYTHONPATH={shlex.quote(str(ROOT))} natmodel check ./fd/0 <{name}",
        f"cat {name} >{fifo} & natmodel check {fifo}",
    ):
        text = without_states(in_a_shell(script))
        command = text.partition("    again      ")[2]
        assert "--kernel 4.19.66 --nat masquerade" in command
        assert in_a_shell(command) == text


STARTUP = """
import sys, time
began = time.monotonic()
import natmodel
heavy = {"click", "rich", "hypothesis", "sortedcontainers"}
assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()
from natmodel.cli import main
code = main(["check"])
assert not {"rich", "hypothesis"} & sys.modules.keys()
sys.stderr.write(str(time.monotonic() - began))
sys.exit(code)
"""


def test_the_command_starts_fast_and_imports_little() -> None:
    done = subprocess.run([sys.executable, "-c", STARTUP], capture_output=True, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert float(done.stderr) < 1


def test_version(capsys: Capture) -> None:
    assert run(capsys, "--version")[1] == f"natmodel {natmodel.__version__}\n"
