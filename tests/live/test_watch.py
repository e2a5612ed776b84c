"""A lab as people watch it: on a terminal, as a stream of events, and as a page in a real browser."""

import asyncio
import fcntl
import json
import os
import re
import secrets
import select
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

import pytest

from testbed.lab import Lab
from testbed.topology import loads
from tests.conftest import ROOT
from tests.live.command_line import COMMAND, PATIENCE_S, begin, eventually, run
from tests.live.devtools import page_in
from tests.live.test_report import browser  # noqa: F401  # a fixture

TOPOLOGY = """
name: watched
nodes:
  a: {}
  b: {command: [sleep, "1000"]}
  others: {count: 4}
links: [{between: [a, b], delay: 10ms, rate: 5mbit}, {between: [a, others], delay: 1ms}]
workloads:
  - {name: stream, kind: udp-stream, from: a, to: b, rate: 200kbit, duration: 1s}
"""
WIDTH, HEIGHT = 80, 24

pytestmark = [pytest.mark.live, pytest.mark.netns]


@pytest.fixture(scope="module")
def lab():
    with Lab.up(loads(TOPOLOGY, "watched.yml"), name=f"test-{secrets.token_hex(5)}", runtime="netns") as one:
        yield one


@pytest.fixture(autouse=True)
def _as_the_file_says(request):
    if "lab" in request.fixturenames:
        request.getfixturevalue("lab").restore()


def kinds(lines):
    return [(line["kind"], line["what"]) for line in lines]


def pings(lab, count=1):
    return lab["a"].run(["ping", "-n", "-c", str(count), "-i", "0.2", "-W", "1", "b"]).status == 0


def test_the_stream_has_what_anybody_does_to_the_lab(lab, tmp_path):
    earlier = len(list(lab.events()))
    with begin("events", lab.name, "--follow", "--json", lab=lab.name) as following:
        try:
            lab.link("a", "b").update(loss="10%")
            with lab.partition(["a"], ["b"]):
                assert not pings(lab)
            lab.node("b").pause()
            lab.node("b").unpause()
            lab.run(tmp_path, check=False)
            lines: list[dict[str, Any]] = []
            for line in following.stdout:
                lines.append(json.loads(line))
                if lines[-1]["kind"] == "run-ended":
                    break
        finally:
            following.terminate()
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    every, lines = lines, lines[earlier:]
    times = [line["time"] for line in lines]
    assert times == sorted(times)
    found = kinds(lines)
    assert found[0][0] == "impairments"
    assert found[0][1].startswith("a -> b: delay 10 ms, loss 10 %")
    cut = [line for line in lines if line["kind"] == "impairments" and "loss 100 %" in line["what"]]
    assert {link for line in cut for link in line["links"]} == {"a -> b", "b -> a"}
    faults = [(kind, what) for kind, what in found if kind.startswith("fault")]
    assert faults == [(f"fault-{phase}", f"b: {what}") for what in ("pause", "unpause") for phase in ("begun", "done")]
    done = [line for line in lines if line["kind"] == "fault-done"]
    assert all(line["begun"] <= line["time"] for line in done)
    assert [kind for kind, _ in found[-4:]] == ["run-begun", "workload-begun", "workload-ended", "run-ended"]
    assert found[-3][1] == "stream (udp-stream): a -> b"
    assert found[-1][1].endswith(": done")
    # Who comes later gets the same, and the end; a program that dies is among it.
    assert lab["b"].run(["pkill", "sleep"]).status == 0

    def said():
        return [json.loads(line) for line in run("events", lab.name, "--json").stdout.splitlines()]

    assert eventually(lambda: len(said()) > len(every))
    again = said()
    assert again[: len(every)] == every
    assert kinds(again[len(every) :]) == [("node", "b: exited 143, was running")]


def test_a_snapshot_has_the_rates_since_the_one_before(lab):
    before = lab.snapshot()
    assert all(link.out_bps is None for link in before.links)
    assert lab["a"].run(["ping", "-n", "-q", "-c", "20", "-i", "0.05", "-s", "972", "b"]).status == 0

    def since():
        """A snapshot that has all pings, of which the last may still be under way, and its rates."""
        after = lab.snapshot(before)
        rates = {link.name: link.out_bps for link in after.links}
        seconds = (after.at_ns - before.at_ns) / 1e9
        # 972 bytes and the headers of ICMP, IPv4 and Ethernet.
        return round(rates["a -> b"] * seconds / 8) >= 20 * (972 + 8 + 20 + 14) and (after, rates)

    found = eventually(since)
    assert found
    after, rates = found
    assert rates["a -> others-1"] < rates["a -> b"]  # what nodes multicast goes everywhere
    assert {node.name: node.state for node in after.nodes}["a"] == "running"


def screen(app):
    return "\n".join(
        "".join(segment.text for segment in strip).rstrip() for strip in app.screen._compositor.render_strips()
    )


async def until(pilot, condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, screen(pilot.app)
        await pilot.pause(0.05)


def test_keys_change_the_lab_and_the_screen_shows_it(lab):
    from testbed.cli.watch.app import Watch  # noqa: PLC0415  # only here

    async def scenario():
        app = Watch(Lab.attach(lab.name))

        def shows(*words):
            return all(word in screen(app) for word in words)

        async with app.run_test(size=(WIDTH, HEIGHT)) as pilot:
            await until(pilot, lambda: shows("a -> b", "b -> a", "10 links"))
            assert all(len(line) <= WIDTH for line in screen(app).splitlines())
            await pilot.press("slash", *"others-3", "enter")
            await until(pilot, lambda: shows("2 of 10 links", "others-3"))
            await pilot.press("slash", "home", *"-> ", "enter")
            await until(pilot, lambda: shows("1 of 10 links"))
            await pilot.press("i", *"loss=7%", "enter")
            await until(pilot, lambda: lab.link("a", "others-3").impairments.describe() == "delay 1 ms, loss 7 %")
            await until(pilot, lambda: shows("impairments  a -> others-3: delay 1 ms, loss 7 %"))
            await pilot.press("i", *"loss=1", "enter")
            await until(pilot, lambda: shows("loss", "hint"))
            await pilot.press("p", *["backspace"] * 20, *"a|b", "enter")
            await until(pilot, lambda: not pings(lab))
            await pilot.press("h")
            await until(pilot, lambda: pings(lab))
            await pilot.press("slash", *["backspace"] * 20, "enter", "shift+tab", "space")
            await until(pilot, lambda: shows("paused by a fault"))
            assert [node.name for node in lab.snapshot().nodes if node.by_fault] == ["a"]
            await pilot.press("space")
            await until(pilot, lambda: not [node for node in lab.snapshot().nodes if node.by_fault])
            await pilot.press("s", "s")
            await until(pilot, lambda: shows("links by drops"))
            await pilot.resize_terminal(120, 40)
            await until(pilot, lambda: shows("late  "))
            await pilot.press("q")
        assert app.failure is None

    asyncio.run(scenario())


def test_on_a_terminal_of_80_columns(lab):
    master, slave = os.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", HEIGHT, WIDTH, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [*COMMAND, "watch", lab.name], cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = b""

    def shows(text):
        nonlocal seen
        if select.select([master], [], [], 0.1)[0]:
            with suppress(OSError):  # it has ended
                seen += os.read(master, 1 << 16)
        return text in re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", seen)

    try:
        assert eventually(lambda: shows(b"10 links by"))
        os.write(master, b"p")  # the ends of the link that is chosen first
        assert eventually(lambda: shows(b" | ")), seen
        os.write(master, b"\r")
        assert eventually(lambda: shows(b"h heals it")), seen
        cut = [link.name for link in lab.snapshot().links if "loss 100 %" in link.impairments.describe()]
        assert len(cut) == 2
        os.write(master, b"q")
        assert eventually(lambda: shows(b"\0never") or process.poll() is not None)
    finally:
        process.kill()
        process.wait()
        os.close(master)
    assert process.returncode == 0
    assert eventually(lambda: pings(lab))  # the partition has ended with the view


def status_of(url, host=None):
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310  # ours
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as refused:
        return refused.code


def test_the_page_shows_links_and_events_to_who_has_its_address(lab, browser, tmp_path):  # noqa: F811
    with begin("watch", lab.name, "--web", lab=lab.name) as serving:
        try:
            url = serving.stdout.readline().decode().split()[-1]
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", url)
            port = url.split(":")[2].split("/")[0]
            listening = subprocess.run(
                ["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=True
            ).stdout
            assert [line.split()[3] for line in listening.splitlines()] == [f"127.0.0.1:{port}"]
            assert status_of(url) == 200
            assert status_of(url, f"localhost:{port}") == 200
            assert status_of(url, f"rebound.example:{port}") == 421
            assert [status_of(f"http://127.0.0.1:{port}/{path}") for path in ("", "x/", "x/stream")] == [403] * 3
            assert status_of(f"{url}other") == 404
            with page_in(browser, tmp_path / "profile", url) as page:
                page.wait("document.querySelectorAll('#links tr').length === 10")
                assert "a -> b" in page.evaluate("document.getElementById('links').textContent")
                lab.link("a", "b").update(loss="3%")
                page.wait("document.getElementById('events').textContent.includes('a -> b: delay 10 ms, loss 3 %')")
                page.wait("document.getElementById('links').textContent.includes('loss 3 %')")
                page.evaluate("(filter.value = 'others-2', filter.dispatchEvent(new Event('input')))")
                page.wait("document.querySelectorAll('#links tr').length === 2")
                assert {request.split("?")[0] for request in page.requests} <= {
                    url, f"{url}stream", "about:blank", f"http://127.0.0.1:{port}/favicon.ico",
                }  # fmt: skip
        finally:
            serving.terminate()


def test_without_the_extra_the_hint_says_how_to_get_it(lab, tmp_path):
    (tmp_path / "textual.py").write_text("raise ModuleNotFoundError('no textual', name='textual')\n")
    done = run("watch", lab.name, lab=lab.name, env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 3
    assert "pip install 'textual>=1.0'" in done.stderr


def test_views_end_with_the_lab(lab_name):
    with Lab.up(loads(TOPOLOGY, "watched.yml"), name=lab_name, runtime="netns") as lab:
        following = begin("events", lab.name, "--follow", lab=lab.name)
        serving = begin("watch", lab.name, "--web", lab=lab.name)
        assert serving.stdout.readline().startswith(b"watch   http://127.0.0.1:")
        lab.link("a", "b").update(loss="1%")
        assert b"loss 1 %" in following.stdout.readline()
    for view in (following, serving):
        _, complaints = view.communicate(timeout=PATIENCE_S)
        assert (view.returncode, complaints) == (0, b"")
