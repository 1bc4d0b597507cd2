"""`make setup`'s environment: whose it is, when it is made again, and that nothing else is lost with it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import pythons

pytestmark = [pytest.mark.install, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "small"
version = "1"
"""
# A build of nothing, so that these tests need no package index.
BACKEND = """\
import zipfile
INFO = "small-1.dist-info"
def build_editable(folder, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(f"{folder}/small-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{INFO}/METADATA", "Metadata-Version: 2.1\\nName: small\\nVersion: 1\\nProvides-Extra: a\\nProvides-Extra: b\\n")
        wheel.writestr(f"{INFO}/WHEEL", "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{INFO}/RECORD", "")
    return "small-1-py3-none-any.whl"
"""


class Checkout:
    """A small project with our script, and what the script says when an interpreter runs it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".ci").mkdir(parents=True)
        shutil.copy(ROOT / ".ci" / "environment.py", folder / ".ci")
        (folder / "pyproject.toml").write_text(PROJECT)
        (folder / "constraints.txt").write_text("")
        (folder / "backend.py").write_text(BACKEND)

    def run(self, *words: str, python: str = sys.executable) -> subprocess.CompletedProcess[str]:
        command = [python, ".ci/environment.py", *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)

    def make(self, folder: str = ".venv", *extras: str, python: str = sys.executable) -> str:
        ended = self.run("make", folder, *(extras or ("a",)), python=python)
        assert ended.returncode == 0, ended.stderr
        assert (self.folder / folder / "bin" / "pip").exists()
        return ended.stdout

    def stamp(self, folder: str = ".venv") -> Path:
        return self.folder / folder / "installed"


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path / "checkout")


def test_it_is_made_once(checkout: Checkout) -> None:
    """Again only for other pins or more extras, and then what it has is kept."""
    assert "making .venv" in checkout.make()
    (checkout.folder / ".venv" / "kept").touch()
    assert checkout.make() == ""
    assert "up to date: a, b" in checkout.make(".venv", "b")
    assert checkout.make(".venv", "a") == ""
    (checkout.folder / "constraints.txt").write_text("# other pins\n")
    assert "up to date: a, b" in checkout.make()
    assert (checkout.folder / ".venv" / "kept").exists()


@pytest.mark.nightly
def test_half_made_broken_and_moved_ones_are_made_again(checkout: Checkout) -> None:
    """Each with its reason; what was in them is gone."""

    def half(folder: Path) -> None:
        stamp = folder / ".venv" / "installed"
        said = json.loads(stamp.read_text())
        stamp.write_text(json.dumps({key: said[key] for key in ("interpreter", "checkout", "folder")}))

    def as_of_before(folder: Path) -> None:
        """What the Makefile of before left: a stamp with nothing in it."""
        (folder / ".venv" / "installed").write_text("")

    def without_pip(folder: Path) -> None:
        (folder / ".venv" / "installed").unlink()
        shutil.rmtree(next((folder / ".venv" / "lib").glob("python3.*")))

    def spoilt_stamp(folder: Path) -> None:
        (folder / ".venv" / "installed").write_text('{"interpreter": null}')

    def dead(folder: Path) -> None:
        (folder / ".venv" / "bin" / "python").unlink()

    for spoil, reason in (
        (half, "half made"),
        (as_of_before, "no stamp"),
        (without_pip, "no stamp"),
        (spoilt_stamp, "no stamp"),
        (dead, "does not start"),
    ):
        checkout.make()
        (checkout.folder / ".venv" / "old").touch()
        spoil(checkout.folder)
        assert checkout.run("folder").stdout.strip() == ".venv"
        assert reason in checkout.make()
        assert not (checkout.folder / ".venv" / "old").exists()

    moved = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.folder = moved
    assert "of another checkout" in checkout.make()


@pytest.mark.parametrize("name", ["mine", ".venv"])
@pytest.mark.parametrize("file", ["thesis.txt", "lib/thesis.txt", "pyvenv.cfg"])
def test_what_make_did_not_make_is_not_cleared(checkout: Checkout, name: str, file: str) -> None:
    """A folder of somebody's own, an environment among them; only `.venv` may be one that make forgot."""
    kept = checkout.folder / name / file
    kept.parent.mkdir(parents=True)
    kept.touch()

    ended = checkout.run("make", name, "a")

    if name == ".venv" and file != "thesis.txt":
        assert ended.returncode == 0
    else:
        assert (ended.returncode, "was not made by make" in ended.stderr) == (1, True)
        assert kept.exists()


def test_an_update_that_fails_costs_nothing(checkout: Checkout) -> None:
    """No network, say: the environment stays, and is brought up to date the next time."""
    checkout.make()
    (checkout.folder / ".venv" / "kept").touch()
    (checkout.folder / "constraints.txt").write_text("# other pins\n")
    (checkout.folder / "backend.py").write_text("raise OSError('no network')\n")
    assert checkout.run("make", ".venv", "a").returncode != 0

    (checkout.folder / "backend.py").write_text(BACKEND)

    assert "up to date: a" in checkout.make()
    assert (checkout.folder / ".venv" / "kept").exists()


def test_a_half_made_one_is_its_makers(checkout: Checkout) -> None:
    """Another Python that comes while it is being made gets a folder of its own."""
    others = [each for each in pythons.choose([]) if each.version != sys.version_info[:3]]
    if not others:
        pytest.skip("there is only one Python on this machine")
    checkout.make()
    said = json.loads(checkout.stamp().read_text())
    checkout.stamp().write_text(json.dumps({key: said[key] for key in ("interpreter", "checkout", "folder")}))

    assert checkout.run("folder", python=others[0].path).stdout.strip() == f".venv-{others[0].name}"
    assert checkout.run("folder").stdout.strip() == ".venv"


def test_each_interpreter_has_its_own(checkout: Checkout) -> None:
    """The first gets .venv, and keeps it; another is told its own folder."""
    others = [each for each in pythons.choose([]) if each.version != sys.version_info[:3]]
    if not others:
        pytest.skip("there is only one Python on this machine")
    checkout.make()

    other = others[0]
    folder = checkout.run("folder", python=other.path).stdout.strip()
    assert folder == f".venv-{other.name}"
    checkout.make(folder, python=other.path)
    assert checkout.run("folder").stdout.strip() == ".venv"
    assert json.loads(checkout.stamp(folder).read_text())["interpreter"]["version"] == other.name
    # A folder that is named is made again for who names it.
    assert "it is of Python" in checkout.make(".venv", python=other.path)
