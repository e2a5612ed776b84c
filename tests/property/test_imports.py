"""Whatever stands in a file of another tool: it becomes a valid topology, or all that is wrong with it is said."""

import copy
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.importing import imported
from testbed.topology import TopologyError, loads

FILES = Path(__file__).parents[1] / "golden" / "imports"
DATA = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FILES.glob("*.*.yml"))}
WORDS = [
    "a",
    "web",
    "r1",
    "no such",
    "../x",
    "80",
    "8080:80",
    "none",
    "-",
    "A_B",
    "1s",
    "64m",
    "198.18.9.0/24",
    "a:eth1",
]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text("abzAZ09_-.:/$ {}\"'#&*!|>%@`\u00e9\x85", max_size=12),
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.dictionaries(st.sampled_from([*WORDS, "type", "source", "target", "test", "condition"]), st.sampled_from(WORDS)),
)


def paths(data, path=()):
    """The path of every value."""
    yield path
    entries = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in entries:
        yield from paths(value, (*path, key))


@st.composite
def files(draw):
    """The text of a file in which some values are others, or gone."""
    data = copy.deepcopy(draw(st.sampled_from([*DATA.values()])))
    for _ in range(draw(st.integers(1, 4))):
        places = [path for path in paths(data) if path]
        if not places:
            break
        *parents, last = draw(st.sampled_from(places))
        within = data
        for part in parents:
            within = within[part]
        if draw(st.booleans()):
            within[last] = draw(VALUES)
        else:
            del within[last]
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(files())
def test_imports(tmp_path_factory, text):
    directory = tmp_path_factory.mktemp("import")
    for name in ("site", "api"):
        (directory / name).symlink_to(FILES / name)
    file = directory / "file.yml"
    file.write_text(text, encoding="utf-8")
    try:
        result = imported(file, directory)
    except TopologyError as error:
        assert all(problem.file == str(file) for problem in error.problems)  # noqa: PT017
        return
    loads(result.text, "made.yml", directory)
    for note in result.notes:
        assert f"{note.code} (line {note.line})" in result.text
