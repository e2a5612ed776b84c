"""The pytest plugin, in test sessions of its own."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from testbed.lab import Lab
from tests.conftest import remains

TOPOLOGY = """
name: pair
nodes: {client: {}, server: {}}
links:
  - {from: client, to: server, delay: 30ms}
"""
NOTES = """
import pathlib
import pytest

@pytest.fixture(autouse=True)
def note(lab):
    with pathlib.Path("labs").open("a") as file:
        file.write(f"{lab.name}\\n")
"""


@pytest.fixture
def session(pytester):
    """Runs a test session in a process of its own, over a test file that uses `lab`; the labs are noted in a file."""
    pytester.makefile(".yml", pair=TOPOLOGY)

    def run(text, *arguments, notes=NOTES):
        pytester.makeconftest(notes)
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rsfE", *arguments)

    return run


def labs(pytester):
    return (pytester.path / "labs").read_text("utf-8").split()


@pytest.mark.netns
def test_a_failed_test_shows_the_output_of_nodes(session, pytester):
    pytester.makefile(
        ".yml", talking="name: talking\nnodes: {a: {command: [sh, -c, 'echo hello; sleep 600']}, b: {}}\n"
    )
    result = session(
        """
        import pytest

        @pytest.mark.topology("talking.yml", runtime="netns")
        def test_good(lab):
            pass

        @pytest.mark.topology("talking.yml", runtime="netns")
        def test_bad(lab):
            assert False
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*Log of node a*", "hello"])
    assert str(result.stdout).count("Log of node") == 1


@pytest.mark.netns
def test_a_lab_by_file_used_and_changed(session, pytester):
    result = session(
        """
        import pytest

        def quickest(lab):
            done = lab["client"].run(["ping", "-n", "-c100", "-i0.02", "server"])
            assert done.status == 0
            return float(done.stdout.splitlines()[-1].split("=")[1].split("/")[0])

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        def test_link(lab):
            assert lab.runtime == "netns"
            assert 30 <= quickest(lab) < 32
            lab.link("client", "server").update(delay="60ms")
            assert 60 <= quickest(lab) < 62
            lab.link("client", "server").update(loss="100%")
            assert lab["client"].run(["ping", "-c1", "-W0.2", "server"]).status == 1
        """
    )
    result.assert_outcomes(passed=1)
    (name,) = labs(pytester)
    assert name.startswith("pair-")
    assert remains(name) == []


@pytest.mark.netns
def test_a_lab_by_name_is_gone_after_a_test_that_fails(session, pytester):
    result = session(
        """
        import pytest

        @pytest.mark.topology("lossy", runtime="netns", engine="userspace")
        def test_fails(lab):
            assert lab["client"].run(["hostname"]).stdout == "server"

        @pytest.mark.topology("lossy", runtime="netns", engine="userspace")
        def test_passes(lab):
            assert lab["client"].run(["hostname"]).stdout == "client\\n"
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    first, second = labs(pytester)
    assert first.startswith("lossy-")
    assert first != second
    assert remains(first) == remains(second) == []


@pytest.mark.netns
def test_sessions_side_by_side_do_not_collide(session, pytester):
    text = """
        import pathlib, subprocess, sys
        import pytest

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        def test_outer(lab):
            inner = subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "inner.py"], check=False)
            assert inner.returncode == 0
            assert lab["client"].run(["ping", "-c1", "server"]).status == 0
        """
    inner = """
        import pytest

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        def test_inner(lab):
            lab.link("client", "server").update(loss="100%")
            assert lab["client"].run(["ping", "-c1", "-W0.2", "server"]).status == 1
        """
    pytester.makepyfile(inner=inner)
    session(text).assert_outcomes(passed=1)
    outer, within = labs(pytester)
    assert outer != within
    assert remains(outer) == remains(within) == []


def test_a_topology_that_there_is_not_fails_with_the_hint_and_no_traceback(session):
    text = """
        import pytest

        @pytest.mark.topology("lozzy")
        def test_never_runs(lab):
            raise AssertionError
        """
    result = session(text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(['*hint: did you mean "lossy"?*'])
    result.stdout.no_fnmatch_line("*find.py*")


SHARED = """
    import pytest
    from testbed.pytest import lab_fixture

    duo = lab_fixture("pair.yml", scope="module", runtime="netns", engine="userspace")
    pytestmark = pytest.mark.topology("pair.yml", runtime="netns", engine="userspace", scope="module")

    def reaches(lab):
        return lab["client"].run(["ping", "-c1", "-W1", "server"]).status == 0

    @pytest.mark.impair("client", "server", loss=["0%", "100%"], delay="1ms")
    def test_matrix(lab, request):
        assert reaches(lab) == ("loss=0%" in request.node.name)

    def test_leaves_nodes_disturbed(lab):
        lab.node("client").pause()
        lab.node("server").kill()

    def test_as_the_file_says_again(lab):
        assert reaches(lab)
        assert lab.link("client", "server").impairments.describe() == "delay 30 ms"

    def test_fixture(duo, lab):
        assert duo.name != lab.name
        with duo.partition(["client"], ["server"]):
            assert not reaches(duo)
            assert reaches(lab)
        assert reaches(duo)

    @pytest.mark.impair("client", "server", lab="duo", loss="100%")
    def test_of_the_other(lab, duo):
        assert reaches(lab) and not reaches(duo)
    """


@pytest.mark.netns
@pytest.mark.parametrize("arguments", [[], ["-n2", "--dist=load"]], ids=["one-process", "two-processes"])
def test_tests_share_a_lab_and_each_finds_it_as_its_file_says(session, pytester, arguments):
    session(SHARED, *arguments).assert_outcomes(passed=6)
    used = labs(pytester)
    assert len(set(used)) == (2 if arguments else 1)
    assert all(remains(name) == [] for name in used)


@pytest.mark.netns
def test_tests_of_a_folder_share_a_lab(session, pytester):
    text = """
        import pytest

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace", scope="package")
        def test_one(lab):
            pass
        """
    for name in ("one", "two"):
        (pytester.mkdir(name) / f"test_{name}_a.py").write_text(textwrap.dedent(text))
        (pytester.path / name / f"test_{name}_b.py").write_text(textwrap.dedent(text))
    session("def test_nothing(): pass", "one", "two", notes=NOTES).assert_outcomes(passed=4)
    one, also_one, two, also_two = labs(pytester)
    assert one == also_one != two == also_two


@pytest.mark.netns
def test_what_a_failed_test_shows_and_keeps(session, pytester):
    text = """
        import pytest

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        def test_bad(lab):
            lab["client"].run(["ping", "-c1", "server"])
            assert lab is None
        """
    result = session(text, "--junitxml=junit.xml", "--testbed-keep")
    result.assert_outcomes(failed=1)
    lines = [
        "*<lab pair-*: netns, nodes client, server>*",
        "*Links of the lab*",
        "client -> server *delay 30 ms*1 packets in*",
    ]
    result.stdout.fnmatch_lines([*lines, "*Last packets at client*", "*ICMP echo reply*", "*Files of the lab*"])
    (name,) = labs(pytester)
    result.stdout.fnmatch_lines([f"testbed shell {name} client*testbed down {name}"])
    kept = next(line for line in result.outlines if line.endswith("/test_bad"))
    assert {"plan.json", "agent.log", "client-lan.pcap"} <= {file.name for file in Path(kept).iterdir()}
    assert '<property name="testbed.lab" value="pair on netns' in (pytester.path / "junit.xml").read_text("utf-8")
    assert remains(name)
    Lab.attach(name).down()
    assert remains(name) == []


@pytest.mark.netns
@pytest.mark.parametrize("arguments", [[], ["-n1"]], ids=["one-process", "worker"])
def test_a_lab_is_shown_and_kept_if_another_fixture_fails_by_workers_of_xdist_too(session, pytester, arguments):
    text = """
        import pytest

        @pytest.fixture
        def broken(lab):
            raise OSError("no such thing")

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        def test_never_runs(broken):
            raise AssertionError
        """
    result = session(text, "--testbed-keep", *arguments)
    result.assert_outcomes(errors=1)
    (name,) = labs(pytester)
    result.stdout.fnmatch_lines(["*Links of the lab*", "client -> server *delay 30 ms*", "*labs that are left up*"])
    result.stdout.fnmatch_lines([f"testbed shell {name} client*testbed down {name}"])
    Lab.attach(name).down()
    assert remains(name) == []


@pytest.mark.netns
def test_a_change_that_a_link_refuses_fails_the_test_with_the_reason(session):
    text = """
        import pytest

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace")
        @pytest.mark.impair("client", "server", jitter=["1ms", "40ms"])
        def test_jitter(lab):
            assert "jitter 1 ms" in lab.link("client", "server").impairments.describe()
        """
    result = session(text)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["client-server-jitter=40ms: jitter-exceeds-delay: *", "*hint: a packet cannot arrive*"]
    )
    result.stdout.no_fnmatch_line("*impairing.py*")


@pytest.mark.netns
def test_asyncio_and_labs_of_other_fixtures(session):
    text = """
        import asyncio
        import pytest
        import testbed

        async def ping(lab, source, destination):
            done = await asyncio.to_thread(lab[source].run, f"ping -c1 -W0.5 {destination}")
            return done.status

        async def both(lab):
            assert await asyncio.gather(ping(lab, "client", "server"), ping(lab, "server", "client")) == [0, 0]
            await asyncio.to_thread(lab.link("client", "server").update, loss="100%")
            assert await asyncio.gather(ping(lab, "client", "server"), ping(lab, "server", "client")) == [1, 1]

        @pytest.mark.topology("pair.yml", runtime="netns", engine="userspace", scope="session")
        class TestClass:
            def test_asyncio(self, lab):
                asyncio.run(both(lab))

            def test_pause(self, lab):
                lab.node("server").pause()
                assert lab["client"].run("ping -c1 -W1 server").status == 0  # the kernel answers
                assert lab.attach(lab.name).name == lab.name

            @pytest.mark.impair("client", "server", loss="100%")
            def test_impaired(self, lab):
                assert lab["client"].run("ping -c1 -W0.2 server").status == 1

            def test_healed(self, lab):
                assert lab["client"].run("ping -c1 -W1 server").status == 0
        """
    session(text).assert_outcomes(passed=4)


@pytest.mark.netns
def test_workloads_become_properties(session, pytester):
    pytester.makefile(
        ".yml",
        asking=f"{TOPOLOGY}workloads: [{{name: rpc, kind: tcp-rr, from: client, to: server, count: 3}}]\n",
    )
    text = """
        import pytest

        @pytest.mark.topology("asking.yml", runtime="netns")
        def test_good(lab):
            assert lab.run_workload("rpc").number("latency.min") >= 30e6
        """
    session(text, "--junitxml=junit.xml").assert_outcomes(passed=1)
    assert 'name="rpc.latency_p50_ns" value="3' in (pytester.path / "junit.xml").read_text("utf-8")


def test_a_lab_that_cannot_come_up_fails_its_next_tests_at_once(session, pytester):
    pytester.makefile(".yml", wrong="name: wrong\nnodes: {a: {comand: x}}\n")
    text = """
        import pytest
        from testbed.lab import Lab

        asked = []
        up = Lab.up.__func__
        Lab.up = classmethod(lambda cls, *args, **options: (asked.append(1), up(cls, *args, **options))[1])

        @pytest.mark.topology("wrong.yml")
        @pytest.mark.parametrize("number", range(3))
        def test_never_runs(lab, number):
            raise AssertionError

        def test_asked_once():
            assert asked == [1]
        """
    result = session(text, notes="")
    result.assert_outcomes(errors=3, passed=1)
    result.stdout.fnmatch_lines(["*unknown-key*comand*"])


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ('topology("lossy", scope="galaxy")', "scope is 'galaxy', not one of function, class*"),
        ('topology("lossy", sede=1)', "*takes runtime, engine, seed and scope, and not sede"),
        ('impair("client", loss="5%")', "impair takes two nodes and keys of a link*"),
    ],
)
def test_a_wrong_marker(session, marks, said):
    text = f"import pytest\n\n@pytest.mark.{marks}\ndef test_never_runs(lab):\n    raise AssertionError\n"
    result = session(text, notes="")
    result.stdout.fnmatch_lines([f"*{said}"])
    result.stdout.no_fnmatch_line("*testbed/pytest_plugin/*")  # our code is not what its author has to read
    result.stdout.no_fnmatch_line("During handling*")


LACKING = """
    import pytest

    @pytest.mark.topology("pair.yml", runtime="docker")
    def test_never_runs(lab):
        raise AssertionError
    """


def test_a_missing_capability_skips_the_test_with_the_reason(session, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    result = session(LACKING)
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*there is no Docker Engine*/nowhere/docker.sock*"])


def test_a_missing_required_capability_fails_the_test(session, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    result = session(LACKING, "--testbed-require=docker,netem")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*required, but lacking: *there is no Docker Engine*"])
    session(LACKING, "--testbed-require=netem").assert_outcomes(skipped=1)


def test_an_unknown_capability_is_an_error_of_use(session):
    result = session("def test_nothing(): pass", "--testbed-require=docker,warp", notes="")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--testbed-require: warp is none of docker, *"])


def test_a_wrong_file_fails_and_a_missing_marker_says_how(session):
    result = session(
        """
        import pytest

        @pytest.mark.topology("no-such-topology")
        def test_wrong(lab):
            raise AssertionError

        def test_unmarked(lab):
            raise AssertionError
        """,
        notes="",
    )
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*no-such-topology*", "*pytest.mark.topology*"])


def test_a_session_without_labs_imports_nothing_heavy(session):
    result = session(
        """
        import sys

        def test_imports(request):
            assert request.config.pluginmanager.has_plugin("testbed")
            assert not {"pydantic", "docker", "pyroute2", "rich", "click", "yaml", "testbed.lab"} & set(sys.modules)
        """,
        notes="",
    )
    result.assert_outcomes(passed=1)
