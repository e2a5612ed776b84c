"""The version is written in one place, and the changelog says what is in it."""

import re
import subprocess
import sys

import testbed
from tests.conftest import ROOT


def text(name):
    return (ROOT / name).read_text("utf-8")


def test_the_newest_release_of_the_changelog_is_this_version():
    sections = re.findall(r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?$", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == ("Unreleased", "")
    assert sections[1][0] == testbed.__version__
    assert sections[1][1]


def test_the_command_the_manual_and_the_images_have_it_from_there():
    command = [sys.executable, "-m", "testbed", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split()[-1] == testbed.__version__
    assert f'"testbed {testbed.__version__}"' in text("docs/reference/testbed.1").splitlines()[0]
    script = next(line for line in text("images/build").splitlines() if line.startswith("version="))
    found = subprocess.run(
        ["bash", "-c", f"{script}; echo $version"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert found.stdout.strip() == testbed.__version__


def test_no_other_file_has_it():
    names = ["pyproject.toml", "docker-compose.yml", "action.yml", "Makefile", "images/Dockerfile", "mkdocs.yml"]
    assert not [name for name in names if re.search(rf"\b{re.escape(testbed.__version__)}\b", text(name))]
