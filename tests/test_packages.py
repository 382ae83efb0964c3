"""Wheel and sdist: built, installed into a clean environment, and used there."""

import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.docs.newcomer import Newcomer
from tests.docs.pages import steps
from tests.service.served import Served
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
#: What only other extras bring is not there.
ONLY_A_CLIENT = (
    "from importlib.util import find_spec\n"
    "for name in ('fastapi', 'sqlalchemy', 'uvloop'): print(find_spec(name) is not None)"
)


class Built:
    """The two packages, and an environment that the wheel is installed into."""

    def __init__(self, folder: Path) -> None:
        build = "from hatchling.build import *; import sys; print(build_sdist(sys.argv[1]))"
        self.sdist = folder / run([sys.executable, "-c", build, str(folder)], at=ROOT).split()[-1]
        with tarfile.open(self.sdist) as archive:
            archive.extractall(folder, filter="data")
        self.unpacked = folder / self.sdist.name.removesuffix(".tar.gz")
        build = build.replace("build_sdist", "build_wheel")
        made = run([sys.executable, "-c", build, str(folder)], at=self.unpacked)
        self.wheel = folder / made.split()[-1]
        self.folder = folder / "venv"
        venv.create(self.folder, with_pip=True)

    def install(self, extras: str = "") -> None:
        """The wheel with its dependencies, of the versions that are pinned."""
        pip = [str(self.folder / "bin" / "pip"), "install", "--quiet"]
        pinned = ["--disable-pip-version-check", "--constraint", str(ROOT / "constraints.txt")]
        run([*pip, *pinned, f"{self.wheel}{extras}"], at=self.folder)

    def parkade(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The installed command, elsewhere and without our environment."""
        clean = {"PATH": os.defpath, "HOME": str(self.folder), "COLUMNS": "100"}
        return subprocess.run(
            [str(self.folder / "bin" / "parkade"), *words],
            cwd=self.folder,
            env=clean,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )


def run(command: list[str], *, at: Path) -> str:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    made = Built(tmp_path_factory.mktemp("built"))
    made.install()
    return made


def test_the_wheel_made_of_the_sdist_holds_every_file_of_the_package(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("parkade/")}
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "src"], at=ROOT)
    assert held == {name.removeprefix("src/") for name in listed.split()}
    for name in ("Makefile", "constraints.txt", "tests/test_packages.py", "docs/operate.md"):
        assert (built.unpacked / name).is_file(), "a distributor can build and test from the sdist"


def test_a_plain_install_runs_and_says_how_to_get_the_server(built: Built) -> None:
    version = built.parkade("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert built.parkade("mars", "explain", "XID", "79").returncode == 0
    up = built.parkade("up")
    assert up.returncode != 0 and "pip install" in up.stderr and "[server]" in up.stderr


@pytest.mark.parametrize("page", ["first-network.md", "cheap-ways-first.md"])
def test_pages_about_networks_need_nothing_but_a_plain_install(
    built: Built, tmp_path: Path, page: str
) -> None:
    names = [str(built.folder / "bin" / "python"), "-c", ONLY_A_CLIENT]
    assert run(names, at=tmp_path).split() == ["False"] * 3
    with Newcomer(tmp_path, built.folder / "bin") as newcomer:
        for step in steps(ROOT / "docs" / "compound" / page):
            newcomer.type(step)


def test_a_plain_install_and_a_url_are_enough_for_a_model(built: Built, tmp_path: Path) -> None:
    """A served network is the server of a second one: both from the plain install."""
    rules = "def guess(call):\n    return call.prompt.upper()\n"
    (tmp_path / "rules.py").write_text(rules)
    (tmp_path / "net.yaml").write_text(
        'models: {m: {function: "rules.py:guess"}}\nnetwork: "E@m"\n'
    )
    program = [str(built.folder / "bin" / "parkade"), "compound"]
    clean = {"PATH": os.defpath, "HOME": str(tmp_path), "COLUMNS": "100"}
    words = ["serve", "net.yaml", "--out", "served", "--port", "0", "--json"]
    with subprocess.Popen(
        [*program, *words], cwd=tmp_path, env=clean, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"]
        second = {"models": {"m": {"url": url, "model": "parkade"}}, "network": "E@m"}
        (tmp_path / "second.yaml").write_text(json.dumps(second))
        (tmp_path / "q.jsonl").write_text('{"prompt": "hello"}\n')
        done = subprocess.run(
            [*program, "run", "second.yaml", "q.jsonl", "--out", "out"],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        server.terminate()
    assert (done.returncode, server.returncode) == (0, 0), done.stderr
    assert json.loads((tmp_path / "out" / "results.jsonl").read_text())["answer"] == "HELLO"


def test_with_its_extra_the_server_runs_from_the_wheel(built: Built, tmp_path: Path) -> None:
    built.install("[server]")
    units = tmp_path / "units"
    units.mkdir()
    assert built.parkade("admin", "units", "--to", str(units)).returncode == 0
    assert str(built.folder / "bin" / "parkade") in (units / "parkade-server.service").read_text()

    served = Served(tmp_path)
    served.program = [str(built.folder / "bin" / "python"), "-I", "-m", "parkade.service"]
    served.start("--token-file", str(tmp_path / "token"))
    served.token = (tmp_path / "token").read_text().strip()
    assert served.ask("GET", "/server")["is_running"]
    served.stop()
