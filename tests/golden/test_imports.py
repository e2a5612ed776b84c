"""Files of other tools and the topologies that they become.

Where a change is intended: `python -m tests.golden.test_imports`.
"""

import contextlib
from pathlib import Path

import pytest

from testbed.importing import imported
from testbed.plan import resolve
from testbed.topology import load

HERE = Path(__file__).parent / "imports"
FILES = sorted(path.name for path in HERE.glob("*.*.yml"))


def made(name):
    """The topology and the notes, from within the directory: messages have paths."""
    with contextlib.chdir(HERE):
        result = imported(Path(name), Path())
    return result.text, "".join(f"{note}\n" for note in result.notes)


def kept(name):
    stem = HERE / name.split(".")[0]
    return stem.with_suffix(".yml"), stem.with_suffix(".notes")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch):
    for name in ("NGINX_TAG", "SITE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", FILES)
def test_import(name):
    assert made(name) == tuple(path.read_text() for path in kept(name))


@pytest.mark.parametrize("name", FILES)
def test_what_was_imported_resolves_to_a_plan(name):
    plan = resolve(load(kept(name)[0]))
    assert len(plan.nodes) > 1


if __name__ == "__main__":
    for each in FILES:
        for file, text in zip(kept(each), made(each), strict=True):
            file.write_text(text)
