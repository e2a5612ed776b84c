"""The command line where no lab is needed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import testbed
from testbed.cli import COMMANDS, cli, failures
from testbed.metrics import METRICS
from testbed.plan import resolve
from testbed.topology import find, load, schema


def command_line(*arguments, **options):
    command = [sys.executable, "-m", "testbed", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run(command, text=True, check=False, **streams)


def test_help_lists_every_command_and_imports_nothing_heavy():
    heavy = ("pydantic", "docker", "pyroute2", "rich", "yaml", "testbed.lab")
    script = f"import sys, testbed.cli; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
    shown = CliRunner().invoke(cli, ["--help"])
    assert shown.exit_code == 0
    for name, (_, text) in COMMANDS.items():
        assert f"  {name} " in shown.output
        assert text.split()[0] in shown.output


@pytest.mark.parametrize("module", ["testbed.cli.labs", "testbed.runtime.netns"])
def test_exec_and_down_import_neither_the_file_format_nor_the_checks(module):
    needless = ("pydantic", "yaml", "rich", "tenacity", "importlib.metadata", "testbed.topology", "testbed.runs")
    script = f"import sys, {module}; print([name for name in {needless} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name):
    shown = CliRunner().invoke(cli, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("Usage:")


def test_a_misspelled_command_gets_a_suggestion():
    done = command_line("valdate", "lossy")
    assert done.returncode == 2
    assert "No such command 'valdate'. Did you mean 'validate'?" in done.stderr


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [(("--only", "dowload"), "its workloads are: download"), (("--capture", "clint"), "its nodes are: client, server")],
)
def test_unknown_names_are_refused_before_the_lab_is_brought_up(wrong, hint):
    done = command_line("run", "lossy", *wrong)
    assert done.returncode == 2
    assert done.stdout == ""
    assert hint in done.stderr


@pytest.mark.parametrize("command", [("run", "lan"), ("sweep", "mathis")])
def test_results_that_cannot_be_written_are_refused_before_a_lab_comes_up(command, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = command_line(*command, "--results", str(tmp_path / "file" / "results"))
    assert done.returncode == 2
    assert done.stdout == ""
    said = f"not-writable: results can't be written to {tmp_path}/file/results: {tmp_path}/file is a file"
    assert said in done.stderr


def test_show_quotes_commands_so_that_they_can_be_pasted(tmp_path):
    path = tmp_path / "quoted.yml"
    path.write_text("name: quoted\nnodes: {a: {command: [sh, -c, 'sleep 9; echo \"x y\"']}}\n", encoding="utf-8")
    done = command_line("show", str(path), env={**os.environ, "COLUMNS": "300"})
    assert """sh -c 'sleep 9; echo "x y"'""" in done.stdout


def test_a_lab_and_a_topology_that_are_not_there_end_with_the_same_status():
    assert command_line("exec", "no-such-lab", "a", "--", "true").returncode == 2
    assert command_line("up", "no-such-topology").returncode == 2


def test_debug_shows_where_an_error_comes_from():
    done = command_line("up", "losy", "--debug")
    assert done.returncode == 2
    assert done.stderr.startswith("Traceback")
    assert "unknown-topology" in done.stderr.splitlines()[-2]
    assert "Traceback" not in command_line("up", "losy", "--verbose").stderr


def test_options_of_a_command_in_a_node_are_its_own():
    done = command_line("exec", "no-such-lab", "a", "--", "true", "--debug")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_show_as_json_is_the_plan():
    shown = json.loads(CliRunner().invoke(cli, ["show", "lossy", "--json"]).output)
    plan = resolve(load(find("lossy")))
    assert shown.pop("digest") == plan.digest
    assert shown == json.loads(json.dumps(plan.to_json()))


def test_show_for_people_names_every_node_link_and_workload():
    shown = CliRunner().invoke(cli, ["show", "star"]).output
    plan = resolve(load(find("star")))
    for name in (*(node.name for node in plan.nodes), *(link.name for link in plan.links)):
        assert name in shown
    for workload in plan.workloads:
        assert workload.name in shown
    assert plan.digest[:12] in shown


def test_schema():
    assert json.loads(CliRunner().invoke(cli, ["schema"]).output) == schema()


def test_metrics_lists_all_or_those_of_a_kind():
    shown = CliRunner().invoke(cli, ["metrics"]).output
    for metric in METRICS.values():
        assert f"{metric.label} " in shown
    listed = json.loads(CliRunner().invoke(cli, ["metrics", "ping", "--json"]).output)
    assert [one["name"] for one in listed] == [one.name for one in METRICS.values() if "ping" in one.kinds]
    assert {"label", "name", "unit", "kinds", "description", "aggregates"} == listed[0].keys()
    assert CliRunner().invoke(cli, ["metrics", "pong"]).exit_code == 2


def test_validate_tells_all_errors_of_all_files_and_exits_with_2(tmp_path):
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("name: good\nnodes: {a: {}, b: {}}\n")
    bad.write_text("name: bad\nnodes: {a: {}, b: {}}\nlinks:\n  - {between: [a, c], delay: 40}\n")
    done = command_line("validate", str(bad), str(good))
    assert done.returncode == 2
    assert f"{good}: fine" in done.stdout
    assert f"{bad}:4:" in done.stderr
    assert "unknown-node" in done.stderr
    assert "has no unit" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["up"], ["nosuch"], ["up", "lan", "--runtime", "vmware"], ["down"]])
def test_a_wrong_command_line_exits_with_2(arguments):
    assert command_line(*arguments).returncode == 2


def test_colour_only_where_it_is_wanted(monkeypatch):
    assert "\x1b[" in CliRunner().invoke(cli, ["doctor"], color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in CliRunner().invoke(cli, ["doctor"], color=True).output


def test_errors_are_json_where_output_is():
    done = command_line("up", "losy", "--json")
    found = json.loads(done.stderr)
    assert (done.returncode, found["exit_status"], done.stdout) == (2, 2, "")
    assert found["error"]["code"] == "unknown-topology"
    assert "lossy" in found["error"]["hint"]


def test_a_wrong_command_line_is_json_too():
    found = json.loads(command_line("up", "lan", "--runtime", "vmware", "--json").stderr)
    assert found["error"]["code"] == "command-line"
    assert "vmware" in found["error"]["message"]


@pytest.mark.parametrize(("fault", "code"), [("restart", "not-lasting"), ("clock", "missing-value")])
def test_how_long_a_fault_lasts_is_not_taken_for_the_value_of_one_that_has_another(fault, code):
    refused = CliRunner().invoke(cli, ["fault", "no-such-lab", "a", fault, "--for", "3s"])
    assert str(refused.exception).startswith(f"{code}: ")


def test_an_interruption_is_json_too(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["testbed", "run", "lan", "--json"])
    interruption = KeyboardInterrupt()
    interruption.add_note("what was recorded until then is in results/x")
    failures.show_interruption(interruption, 130)
    said = json.loads(capsys.readouterr().err)
    assert (said["exit_status"], said["error"]["code"]) == (130, "interrupted")
    assert said["error"]["notes"] == ["what was recorded until then is in results/x"]


def test_words_of_another_program_do_not_ask_for_json():
    assert "no-such-lab" in command_line("exec", "no-such-lab", "a", "--", "ip", "--json").stderr.split(":")[0]


def test_validate_as_json_has_every_problem_with_its_line(tmp_path):
    good, bad = tmp_path / "good.yml", tmp_path / "bad.yml"
    good.write_text("name: good\nnodes: {a: {}, b: {}}\n")
    bad.write_text("name: bad\nnodes: {a: {}, b: {}}\nlinks:\n  - {between: [a, c], delay: 40}\n")
    done = command_line("validate", "--json", str(good), str(bad))
    fine, wrong = json.loads(done.stdout)
    assert (done.returncode, fine) == (2, {"file": str(good), "fine": True})
    assert {(problem["line"], problem["code"]) for problem in wrong["error"]["problems"]} >= {(4, "unknown-node")}


def test_down_as_json_says_whether_it_was_up():
    done = command_line("down", "no-such-lab", "--json")
    assert json.loads(done.stdout) == [{"lab": "no-such-lab", "was_up": False}]


@pytest.mark.parametrize("command", [("list",), ("schema",), ("metrics",), ("validate", "lossy")])
def test_output_that_can_not_be_written(command):
    with Path("/dev/full").open("w") as full:
        done = command_line(*command, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 3
    assert done.stderr == "refused: No space left on device\n  hint: free some space\n"


def test_a_reader_that_ends_is_no_failed_expectation():
    reading, writing = os.pipe()
    os.close(reading)
    done = command_line("list", stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (130, "")


def test_no_standard_output():
    closed = ["sh", "-c", f"{sys.executable} -m testbed list >&-"]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("validate", "closed/a.yml"), 'unreadable-file: "closed/a.yml" can\'t be read: Permission denied'),
        (("run", "open.yml", "--results", "closed/r"), "not-writable: results can't be written to closed/r"),
        (("compare", "closed/r", "closed/q"), "refused: closed/r/run.json: Permission denied"),
    ],
)
def test_a_directory_that_this_user_may_not_enter(tmp_path, words, said):
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "a.yml").write_text("name: a\nnodes: {a: }\n")
    (tmp_path / "open.yml").write_text("name: a\nnodes: {a: }\n")
    for directory in tmp_path.parents:
        if directory.name.startswith("pytest-"):
            directory.chmod(0o755)
    drop = "import os, runpy, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    script = f"{drop}; sys.argv[0] = 'testbed'; runpy.run_module('testbed', run_name='__main__')"
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(said), done.stderr


def test_a_terminal_without_utf_8_shows_what_it_can():
    done = command_line("graph", "lossy", env=os.environ | {"PYTHONIOENCODING": "latin-1"}, encoding="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "client" in done.stdout


@pytest.mark.parametrize("command", [("run", "lossy"), ("report",), ("validate", "x.yml"), ("graph", "lossy")])
def test_a_working_directory_that_is_gone(tmp_path, command):
    (tmp_path / "gone").mkdir()
    script = f'rmdir ../gone; exec "{sys.executable}" -m testbed {" ".join(command)}'
    environment = os.environ | {"PYTHONPATH": str(Path(testbed.__file__).parent.parent)}
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path / "gone", env=environment, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == (0 if command[0] == "graph" else 2)
    if command[0] == "run":
        assert done.stderr.startswith("directory-gone: the working directory was deleted"), done.stderr
