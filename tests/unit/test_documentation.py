"""What the documentation says of commands, files and places is so; a live test of the same name runs its examples."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from testbed.cli import COMMANDS
from tests.conftest import ROOT
from tests.documentation import PAGES, RUN, blocks

WRITTEN = [
    path
    for path in sorted([*ROOT.rglob("*.md"), *(ROOT / "docs").rglob("*.ipynb")])
    if not path.is_symlink() and not {".venv", "build", "results"} & {*path.relative_to(ROOT).parts}
]


def named(path):
    return str(path.relative_to(ROOT))


def anchors(page):
    """The anchors of a page's headings, as GitHub and mkdocs make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    given = re.findall(r'<a id="([^"]+)">', text)
    return {*given, *(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)}


@pytest.mark.parametrize("page", WRITTEN, ids=named)
def test_every_link_leads_somewhere(page):
    text = re.sub(r"^```.*?^```$|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), f"{named(page)}: {target}"
        assert not anchor or anchor in anchors(place), f"{named(page)}: {target} is none of {sorted(anchors(place))}"


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=named)
def test_every_command_exists(page):
    for command in re.findall(r"^(?:    |\$ |`)testbed ([a-z]+)", page.read_text("utf-8"), re.MULTILINE):
        assert command in COMMANDS, f"{named(page)}: testbed {command}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_block_is_run_or_says_why_not(page):
    for block in blocks(page):
        assert block.language in (*RUN, "text"), f"{named(page)}: a block of {block.language or 'no language'}"
        if block.language == "yaml" and not block.title:
            assert block.exempt, f"{named(page)}: neither a file nor exempt: {block.text}"


@pytest.mark.parametrize("name", ["commands.md", "metrics.md", "testbed.1", "topologies.md"])
def test_the_reference_is_made_of_the_code(name, tmp_path):
    code = (
        f"import sys, runpy; made = runpy.run_path({str(ROOT / 'docs' / 'make_reference.py')!r}); "
        f"sys.stdout.write('\\n'.join(made['PAGES'][{name!r}]()))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path).stdout
    written = (ROOT / "docs" / "reference" / name).read_text("utf-8")
    assert written == made, "run python docs/make_reference.py"


def test_the_site_has_every_page():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    parts = [[part] if isinstance(part, str) else next(iter(part.values())) for part in site["nav"]]
    listed = {Path(name) for part in parts for name in part}
    there = {path for form in ("*.md", "*.ipynb") for path in (ROOT / "docs").rglob(form)}
    assert {path.relative_to(ROOT / "docs") for path in there} == listed
