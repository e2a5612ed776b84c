"""Values as Docker and Compose write them."""

from pathlib import Path

import pytest

from testbed.importing.interpolation import MissingVariableError, Use, interpolated
from testbed.importing.values import duration, duration_ns, moved, ports, size


@pytest.mark.parametrize(
    ("text", "kilo", "written"),
    [
        ("64m", 1024, "64MiB"),
        ("1.5G", 1024, "1536MiB"),
        ("64MB", 1024, "64MiB"),
        ("1Gb", 1000, "1GB"),
        ("1GiB", 1000, "1GiB"),
        ("1000", 1024, "1KB"),
        ("1025", 1024, "1025B"),
        ("300b", 1024, "300B"),
    ],
)
def test_sizes(text, kilo, written):
    assert size(text, kilo=kilo) == written


@pytest.mark.parametrize("text", ["", "m", "1x", "-1m", "1 m b"])
def test_no_sizes(text):
    with pytest.raises(ValueError, match="no size"):
        size(text)


@pytest.mark.parametrize(
    ("text", "written"), [("1m30s", "90s"), ("500ms", "500ms"), ("1h", "3600s"), ("1.5s", "1500ms"), ("2us", "1ms")]
)
def test_durations(text, written):
    assert duration(duration_ns(text)) == written


@pytest.mark.parametrize("text", ["", "5", "1d", "s", "1s 2s"])
def test_no_durations(text):
    with pytest.raises(ValueError, match="no duration"):
        duration_ns(text)


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("80", ["80"]),
        ("8080:80", ["8080:80"]),
        ("8080:80/tcp", ["8080:80"]),
        ("127.0.0.1:5353:53/udp", ["127.0.0.1:5353:53/udp"]),
        ("127.0.0.1::53", ["127.0.0.1::53"]),
        ("3000-3002", ["3000", "3001", "3002"]),
        ("3000-3001:4000-4001/udp", ["3000:4000/udp", "3001:4001/udp"]),
        ("3000-3010:80", ["80"]),
    ],
)
def test_ports(text, entries):
    assert ports(text) == entries


@pytest.mark.parametrize("text", ["", "web", "[::1]:80:80", "3000-3001:4000-4002", "5-1", "1-65000:1-65000", "a:80"])
def test_no_ports(text):
    with pytest.raises(ValueError, match=r"."):
        ports(text)


@pytest.mark.parametrize(
    ("path", "written"),
    [("./site", "../shop/site"), ("site", "../shop/site"), ("/srv", "/srv"), ("~/x", "~/x"), ("../a", "../a")],
)
def test_paths_follow_the_topology(path, written):
    assert moved(path, Path("/srv/shop"), Path("/srv/labs")) == written


def test_paths_beside_the_topology_begin_with_a_dot():
    assert moved("site", Path("/work"), Path("/work")) == "./site"


VARIABLES = {"TAG": "1.27", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("nginx:$TAG", "nginx:1.27"),
        ("nginx:${TAG}-x", "nginx:1.27-x"),
        ("$$TAG", "$TAG"),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY-other}", ""),
        ("${NONE:-a b}", "a b"),
        ("${NONE:=a}", "a"),
        ("${NONE}", ""),
        ("${TAG:+set}", "set"),
        ("${NONE:+set}", ""),
        ("${TAG:?must}", "1.27"),
        ("no variable", "no variable"),
    ],
)
def test_variables(text, result):
    assert interpolated(text, VARIABLES, lambda _use: None) == result


def test_uses_of_variables_are_told():
    used: list[Use] = []
    interpolated("$TAG ${NONE} ${NONE:-x}", VARIABLES, used.append)
    assert used == [Use("TAG", "value"), Use("NONE", "nothing"), Use("NONE", "default")]


def test_a_required_variable_that_is_not_set():
    with pytest.raises(MissingVariableError, match="NONE is not set: say which"):
        interpolated("${NONE:?say which}", VARIABLES, lambda _use: None)


@pytest.mark.parametrize("text", ["$", "$5", "${", "${}", "${A:-${B}}", "${A!}"])
def test_what_is_no_variable(text):
    with pytest.raises(ValueError, match="begins no variable"):
        interpolated(text, VARIABLES, lambda _use: None)
