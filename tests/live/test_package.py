"""The wheel, installed into an empty environment elsewhere, brings labs up and has what images are built from."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.live, pytest.mark.netns]


def done(argv, **options):
    finished = subprocess.run(argv, capture_output=True, text=True, check=False, **options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The `bin` of a virtual environment with nothing but the wheel and what it requires."""
    directory = tmp_path_factory.mktemp("package")
    quiet = ["--quiet", "--disable-pip-version-check"]
    done([sys.executable, "-m", "pip", "wheel", *quiet, "--no-deps", "--wheel-dir", directory, ROOT])
    [wheel] = directory.glob("testbed_lab-*.whl")
    done([sys.executable, "-m", "venv", directory / "venv"])
    done([directory / "venv" / "bin" / "pip", "install", *quiet, wheel])
    return directory / "venv" / "bin"


def test_it_runs_a_shipped_topology(installed, lab_name, tmp_path):
    argv = ["run", "lan", "--runtime", "netns", "--name", lab_name, "--no-check", "--results", "results"]
    printed = done([installed / "testbed", *argv], cwd=tmp_path)
    assert f"results/{lab_name}/" in printed
    assert list(tmp_path.glob("results/*/*/report.html")), "a report needs the templates"


def test_its_images_are_those_of_the_checkout(installed, tmp_path):
    """The source is laid out as a checkout; the script that builds it finds the same digest there."""
    code = "from testbed.runtime.docker import own_images; print(own_images.source_directory())"
    source = done([installed / "python", "-c", code], cwd=tmp_path, env={"XDG_CACHE_HOME": str(tmp_path)}).strip()
    digests = {done(["bash", f"{root}/images/build", "--digest"]) for root in (source, ROOT)}
    assert len(digests) == 1
    context = {str(path.relative_to(ROOT)) for path in (ROOT / "images").rglob("*") if path.parent.name != "wheels"}
    assert all((tmp_path / "testbed").glob(f"images-*/{name}") for name in context)
