"""What vl-convert makes of specifications, and what is said where there is none."""

import subprocess
import sys

import pytest

from testbed.errors import MachineError
from testbed.report.vega import draw, scripts

SPECIFICATION = {
    "data": {"values": [{"x": 1, "y": 1 / 3}]},
    "mark": {"type": "point", "clip": True, "color": "var(--s0)"},
    "encoding": {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}},
}


def test_colours_stay_those_of_the_page():
    assert "var(--s0)" in draw(SPECIFICATION)


def test_the_same_drawing_twice_shares_no_names():
    first, second = (draw(SPECIFICATION).split('clipPath id="')[1].split('"')[0] for _ in range(2))
    assert first != second


def test_scripts_end_where_they_should():
    assert "vegaEmbed" in scripts()
    assert "</script" not in scripts()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scripts.cache_clear()
    yield tmp_path / "cache" / "testbed"
    scripts.cache_clear()


def test_scripts_are_made_once_and_kept(cache):
    made = scripts()
    (kept,) = cache.iterdir()
    assert kept.read_text() == made
    kept.write_text("of the cache")
    scripts.cache_clear()
    assert scripts() == "of the cache"


def test_scripts_of_somebody_else_are_not_used(cache, monkeypatch):
    made = scripts()
    (kept,) = cache.iterdir()
    kept.write_text("of somebody else")
    scripts.cache_clear()
    monkeypatch.setattr("os.geteuid", lambda: kept.stat().st_uid + 1)
    assert scripts() == made


def test_without_a_place_to_keep_them_scripts_are_made_all_the_same(cache):
    cache.parent.mkdir()
    cache.write_text("a file")
    assert "vegaEmbed" in scripts()


def test_without_the_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MachineError, match="vl-convert-python") as failed:
        draw(SPECIFICATION)
    assert failed.value.code == "no-charts"


@pytest.mark.parametrize("command", ["--help", "run --help", "report --help"])
def test_commands_that_make_no_page_do_not_pay_for_it(command):
    program = (
        "import sys; from testbed.cli import main; sys.argv = ['testbed', *sys.argv[1:]]\n"
        "try: main()\n"
        "finally: print({'jinja2', 'vl_convert'} & {*sys.modules})"
    )
    argv = [sys.executable, "-c", program, *command.split()]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.stdout.strip().endswith("set()")
