"""The report in a real browser, where there is one: that it is drawn, in light and in dark, and fits the page."""

import json
import secrets
import shutil
import struct
import subprocess
import zlib

import pytest

from testbed.pytest_plugin import lacking
from testbed.runs import load
from tests.live.command_line import nothing_remains, run
from tests.live.devtools import PATIENCE_S, QUIET, page_in

pytestmark = [pytest.mark.live, pytest.mark.netns]

WIDTH, HEIGHT = 500, 4000
WIDE = 1100
"""A width at which nothing is scaled. A narrow page scales drawings as a whole, but live charts only in width."""

CHART_HEIGHT = 100
"""Less than that of any chart."""

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
SETTLED = "--virtual-time-budget=8000"
"""Wait until scripts have made the charts live, as it were for so long, ms."""

LOOKS = {
    "light": ((), (0xFF, 0xFF, 0xFF), (0x1F, 0x66, 0xB5)),
    "dark": (("--blink-settings=preferredColorScheme=0",), (0x0F, 0x13, 0x18), (0x6C, 0xB0, 0xFF)),
}
"""How to ask for it, the colour of the paper and that of the first series (`testbed/report/templates/style.css`)."""


@pytest.fixture
def browser(request):
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        lacking(request.config, {"chromium"}, "no Chromium (Debian: chromium)")
    return found


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    lab, results = f"test-{secrets.token_hex(5)}", tmp_path_factory.mktemp("results")
    done = run("run", "lossy", "--name", lab, "--runtime", "netns", "--only", "voice", "--results", results)
    assert done.returncode in (0, 1), done.stderr
    assert nothing_remains(lab)
    made = run("report", lab, "--results", results)
    assert made.returncode == 0, made.stderr
    path = load(lab, results).path / "report.html"
    assert made.stdout.strip() == str(path)
    return path


def screenshot(browser, report, tmp_path, *options, width=WIDTH):
    """The pixels of the page, rows of (red, green, blue)."""
    picture = tmp_path / "picture.png"
    argv = [browser, *QUIET, *options, f"--user-data-dir={tmp_path / 'profile'}"]
    argv += [SETTLED, f"--window-size={width},{HEIGHT}", f"--screenshot={picture}", report.as_uri()]
    subprocess.run(argv, check=True, capture_output=True, timeout=PATIENCE_S)
    return pixels(picture.read_bytes())


def pixels(data):
    """A PNG of 8 bits a channel, decoded (RFC 2083)."""
    at, packed, width, channels = 8, b"", 0, 0
    while at < len(data):
        (length,), kind = struct.unpack_from("!I", data, at), data[at + 4 : at + 8]
        if kind == b"IHDR":
            width, _, depth, colours = struct.unpack_from("!IIBB", data, at + 8)
            assert depth == 8
            channels = {2: 3, 6: 4}[colours]
        elif kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    raw, size = zlib.decompress(packed), width * channels
    before, rows = bytearray(size), []
    for start in range(0, len(raw), size + 1):
        before = unfiltered(raw[start], bytearray(raw[start + 1 : start + 1 + size]), before, channels)
        rows.append([tuple(before[x : x + 3]) for x in range(0, size, channels)])
    return rows


def unfiltered(kind, line, above, channels):
    """A row of a PNG without its filter (RFC 2083, 6)."""
    for x in range(len(line)):
        left = line[x - channels] if x >= channels else 0
        corner = above[x - channels] if x >= channels else 0
        line[x] = (line[x] + predicted(kind, left, above[x], corner)) & 255
    return line


def predicted(kind, left, up, corner):
    if kind == 4:
        guess = left + up - corner
        return min((left, up, corner), key=lambda one: abs(guess - one))
    return (0, left, up, (left + up) // 2)[kind]


@pytest.mark.parametrize("look", LOOKS)
def test_a_browser_draws_it_in_light_and_dark(browser, report, tmp_path, look):
    options, paper, line = LOOKS[look]
    rows = screenshot(browser, report, tmp_path, *options)
    assert rows[2][2] == paper
    assert {row[-8] for row in rows} == {paper}, "something is wider than the page"
    drawn = [number for number, row in enumerate(rows) if line in row]
    assert drawn[-1] - drawn[0] > len(rows) // 10, "neither topology nor plots"


def test_without_scripts_it_shows_the_same(browser, report, tmp_path):
    page = tmp_path / "without-scripts.html"
    page.write_text(report.read_text().replace("<script>", '<script type="text/plain">'))
    with_scripts, without = (screenshot(browser, each, tmp_path, width=WIDE) for each in (report, page))
    _, _, line = LOOKS["light"]
    drawn = [[number for number, row in enumerate(rows) if line in row] for rows in (with_scripts, without)]
    assert drawn[1], "nothing is drawn"
    assert abs(drawn[0][-1] - drawn[1][-1]) < CHART_HEIGHT  # a legend may take two lines in one of them


CHARTS = "[...document.querySelectorAll('figure[data-group=stage-1] .chart')].slice(0, 2)"
LABELS = f"{CHARTS}.map(chart => [...chart.querySelectorAll('text')].map(text => text.textContent).sort().join(' '))"
CONFIGURED = 'document.querySelectorAll(\'.vega-embed path[stroke="var(--soft)"][stroke-dasharray="1,3"]\').length'


def test_with_scripts_charts_zoom_together_show_values_and_switch_series(browser, report, tmp_path):
    with page_in(browser, tmp_path / "profile", report.as_uri()) as page:
        page.evaluate(f"{CHARTS}[0].scrollIntoView({{behavior: 'instant'}})")
        page.wait(f"{CHARTS}.every(chart => chart.matches('.vega-embed') && chart.querySelector('svg'))")
        whole = page.evaluate(LABELS)
        page.evaluate(f"{CHARTS}[1].scrollIntoView({{behavior: 'instant', block: 'center'}})")
        left, top, width, height = page.evaluate(
            f"(({{left, top, width, height}}) => [left, top, width, height])({CHARTS}[1].getBoundingClientRect())"
        )

        page.mouse("mouseMoved", left + width / 2, top + height / 2)
        page.wait("document.querySelector('#vg-tooltip-element.visible')?.textContent.includes(' ms')")
        assert "undefined" not in page.evaluate("document.querySelector('#vg-tooltip-element').textContent")

        page.mouse("mousePressed", left + width / 2, top + height / 2, button="left", clickCount=1)
        page.mouse("mouseMoved", left + width * 0.75, top + height / 2, button="left")
        page.mouse("mouseReleased", left + width * 0.75, top + height / 2, button="left", clickCount=1)
        for number, before in enumerate(whole):
            page.wait(f"{LABELS}[{number}] !== {json.dumps(before)}")
        page.click("figure[data-group=stage-1] .reset")
        for number, before in enumerate(whole):
            page.wait(f"{LABELS}[{number}] === {json.dumps(before)}")

        assert page.evaluate(CONFIGURED) == 1
        page.click("figure[data-group=stage-1] .legend button[data-name^=configured]")
        page.wait(f"{CONFIGURED} === 0")
        assert {url.partition(":")[0] for url in page.requests} <= {"file", "data"}


def test_a_comparison_is_drawn_and_fits_the_page(browser, report, tmp_path):
    page = tmp_path / "compared.html"
    made = run("compare", report.parent, report.parent, "--html", page)
    assert made.returncode == 0, made.stderr
    assert f"report  {page}" in made.stdout
    rows = screenshot(browser, page, tmp_path)
    _, paper, _ = LOOKS["light"]
    assert {row[-8] for row in rows} == {paper}, "something is wider than the page"
    assert len({pixel for row in rows for pixel in row}) > 10, "nothing is drawn"


def test_it_can_be_printed(browser, report, tmp_path):
    path = tmp_path / "report.pdf"
    argv = [browser, *QUIET, f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={path}", report.as_uri()]
    subprocess.run(argv, check=True, capture_output=True, timeout=PATIENCE_S)
    assert path.read_bytes().startswith(b"%PDF-")
