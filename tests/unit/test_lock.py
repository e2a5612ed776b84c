"""The lock of the image's Python packages has what the package needs, each with its hashes."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def test_every_requirement_has_a_version_that_it_allows_and_hashes():
    text = (ROOT / "images" / "requirements.txt").read_text()
    pinned = {}
    for entry in re.split(r"\n(?=[a-zA-Z])", text.split("\n# The following")[0].strip()):
        found = re.match(r"([\w.-]+)==([\w.+!]+)", entry)
        assert found, entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry
        pinned[canonicalize_name(found[1])] = found[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in map(Requirement, project["dependencies"]):
        version = pinned.get(canonicalize_name(requirement.name), "0")
        assert requirement.specifier.contains(version), f"{requirement}: {version} is locked; run make lock"
