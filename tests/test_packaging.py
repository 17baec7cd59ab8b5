# SPDX-License-Identifier: GPL-2.0-or-later
"""What is shipped is whole and typed, starts light, and contains nothing else."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEADER = "SPDX-License-Identifier: GPL-2.0-or-later"
CACHES = re.compile(
    r"__pycache__|\.py[cod]$|/\.(hypothesis|tox|venv|git/|\w+_cache|natmodel-cache)"
)


def build(target: str, folder: Path) -> Path:
    """The one distribution that hatchling makes of this tree for `target`: wheel or sdist."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    (distribution,) = folder.iterdir()
    return distribution


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The text of every file in the wheel, by name."""
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The name of every file in the sdist, without its top folder."""
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as archive:
        return [name.partition("/")[2] for name in archive.getnames()]


def dist_info(wheel: dict[str, str], name: str) -> str:
    (text,) = (text for path, text in wheel.items() if path.endswith(f".dist-info/{name}"))
    return text


def metadata(wheel: dict[str, str]) -> Message:
    return message_from_string(dist_info(wheel, "METADATA"))


def test_the_wheel_says_that_it_is_typed(wheel: dict[str, str]) -> None:
    assert wheel["natmodel/py.typed"] == ""
    assert "Typing :: Typed" in metadata(wheel).get_all("Classifier", [])


def test_the_wheel_holds_every_module_and_nothing_beside_the_package(wheel: dict[str, str]) -> None:
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "natmodel").rglob("*.py")}
    assert modules <= wheel.keys()
    assert {path.partition("/")[0].partition("-")[0] for path in wheel} == {"natmodel"}


def test_the_wheel_brings_the_licence(wheel: dict[str, str]) -> None:
    assert metadata(wheel)["License-Expression"] == "GPL-2.0-or-later"
    text = dist_info(wheel, "licenses/LICENSE")
    assert text.lstrip().startswith("GNU GENERAL PUBLIC LICENSE\n")
    assert "Version 2, June 1991" in text


def test_the_wheel_installs_the_command(wheel: dict[str, str]) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(dist_info(wheel, "entry_points.txt"))
    assert dict(entry_points["console_scripts"]) == {"natmodel": "natmodel.cli:main"}


def test_the_version_has_one_place(wheel: dict[str, str]) -> None:
    found = re.search(r'^__version__(?:: \S+)? = "(.+)"$', wheel["natmodel/__init__.py"], re.M)
    assert found is not None
    assert found[1] == metadata(wheel)["Version"]


def test_the_core_dependencies_are_those_that_were_decided_on() -> None:
    decision = (ROOT / "docs/decisions/0004-core-dependencies.md").read_text(encoding="utf-8")
    names = [re.split(r"\W", line)[0] for line in PYPROJECT["project"]["dependencies"]]
    assert names == ["attrs", "click", "hypothesis", "rich", "sortedcontainers"]
    assert sorted(re.findall(r"^\| (\w+) \|", decision, re.M)[1:]) == names


def test_neither_distribution_holds_a_cache(wheel: dict[str, str], sdist: list[str]) -> None:
    assert [name for name in [*wheel, *sdist] if CACHES.search(f"/{name}")] == []


def test_the_sdist_can_run_its_own_tests(sdist: list[str]) -> None:
    needed = {"tox.ini", "pyproject.toml", "README.md", "LICENSE", ".ci/run", "tests/conftest.py"}
    assert needed <= set(sdist)
    assert any(re.fullmatch(r"tests/vectors/.*\.xz", name) for name in sdist)


def imported_by(statement: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", code]
    return set(subprocess.check_output(command, cwd=ROOT, text=True).split())


def test_import_natmodel_pays_for_attrs_alone() -> None:
    third_party = imported_by("import natmodel") - imported_by("pass") - sys.stdlib_module_names
    assert third_party <= {"natmodel", "attr", "attrs"}


def test_every_public_name_is_there_whatever_was_imported_before() -> None:
    for before in ("import natmodel", "import natmodel, natmodel.run, natmodel.conform"):
        code = f"""{before}
for name in natmodel.__all__:
    getattr(natmodel, name)
k, s = natmodel.RELEASES["6.12.117"], natmodel.Scenario.default()
packet = s.threads()[0].args[1][0]
print(natmodel.run(k.new_connection(k, packet), s.world(), draws=[7]).result.cause)
from natmodel import run
print(run(k.new_connection(k, packet), s.world(), draws=[7]).result.cause)
from natmodel.run import run
print(run(k.new_connection(k, packet), s.world(), draws=[7]).result.cause)
"""
        command = [sys.executable, "-c", code]
        assert subprocess.check_output(command, cwd=ROOT, text=True).split() == ["inserted"] * 3


def test_the_command_starts_without_the_test_tools() -> None:
    loaded = imported_by("import natmodel.cli")
    assert loaded.isdisjoint({"hypothesis", "pytest", "_pytest", "asyncio"})


def sources() -> list[Path]:
    """Every file of ours that is Python, ini, toml or shell; nothing that a tool made."""
    folders = ["natmodel", "tests", "proofs", "docs"]
    files = [*ROOT.iterdir(), *(path for name in folders for path in (ROOT / name).rglob("*"))]
    commented = sorted(path for path in files if path.suffix in {".py", ".ini", ".toml", ".sh"})
    return [*commented, ROOT / ".ci" / "run"]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_licence_is_named_in_the_first_two_lines(path: Path) -> None:
    assert HEADER in "".join(path.read_text(encoding="utf-8").splitlines()[:2])


def tox_environments() -> configparser.ConfigParser:
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return tox


def test_every_tox_environment_is_a_question_with_a_duration() -> None:
    tox = tox_environments()
    names = [name for name in tox.sections() if name.startswith("testenv:")]
    assert names
    for name in names:
        assert re.search(r"\?.* \(about \d+ (s|min|h)\)$", tox[name]["description"]), name


def test_tox_alone_asks_the_quick_questions() -> None:
    quick = re.split(r",\s*", tox_environments()["tox"]["env_list"])
    assert quick == ["types", "lint", "house", "tests", "proofs", "docs"]
