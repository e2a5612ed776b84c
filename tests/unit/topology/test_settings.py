"""Values in place of the file's own: where they go, and what is said where they can't."""

import pytest

from testbed.errors import UsageError
from testbed.topology import TopologyError, factors, load, loads, parse_factor

TEXT = """
name: x
nodes:
  a:
  b: {sysctls: {net.ipv4.tcp_ecn: 0}}
links:
  - {between: [a, b], delay: 10ms, loss: 1%}
workloads:
  - {name: one, kind: tcp-stream, from: a, to: b}
  - together:
      - {name: two, kind: tcp-stream, from: a, to: b}
      - {name: three, kind: udp-stream, from: a, to: b}
expect: [one.goodput > 1 mbit]
"""


def settings(*texts):
    return [parse_factor(text).levels[-1] for text in texts]


def with_set(*texts):
    return loads(TEXT, "x.yml", settings=settings(*texts))


def fault(*texts):
    with pytest.raises(UsageError) as caught:
        with_set(*texts)
    return str(caught.value)


def test_values_are_those_of_a_list_in_yaml():
    factor = parse_factor("links[0].loss=0%, {rate: 2%, burst: 4},1e-1, true, [a, 'b'], ~")
    assert factor.path == "links[0].loss"
    assert [level.text for level in factor.levels] == ["0%", "{rate: 2%, burst: 4}", "1e-1", "true", "[a, b]", "null"]


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("links[0].loss=5%", lambda file: file.links[0].loss),
        ("links[0].rate=20mbit", lambda file: file.links[0].rate),
        ("workloads.one.congestion=reno", lambda file: file.stages[0][0].congestion),
        ("workloads.three.size=200B", lambda file: file.stages[1][1].size_bytes),
        ("workloads[1].together[0].congestion=bbr", lambda file: file.stages[1][0].congestion),
        ("workloads.one={name: one, kind: tcp-stream, from: b, to: a}", lambda file: file.stages[0][0].source),
        ('nodes.b.sysctls."net.ipv4.tcp_ecn"=1', lambda file: file.nodes["b"].sysctls),
        ("nodes.a.cpus=0.5", lambda file: file.nodes["a"].cpus_milli),
        ("engine=userspace", lambda file: file.engine),
    ],
)
def test_a_setting_is_as_if_the_file_said_so(text, of):
    written = of(with_set(text))
    assert written != of(loads(TEXT, "x.yml"))
    assert written == of(with_set(text, "description=another"))


def test_several_settings_are_all_there():
    file = with_set("links[0].loss=5%", "links[0].delay=20ms")
    assert (file.links[0].delay_ns, file.links[0].loss) == (20_000_000, with_set("links[0].loss=5%").links[0].loss)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("links[0].loss=0%,7", "--set 'links[0].loss=0%,7':1:18: bad-value: links[0].loss"),
        (
            "links[0].los=7%",
            "--set 'links[0].los=7%':1:1: unknown-key: links[0] has no key \"los\"\n  hint: did you mean",
        ),
        ("links[0].loss={rate: 2%, bust: 4}", "--set 'links[0].loss={rate: 2%, bust: 4}':1:26: unknown-key"),
        ("links[1].loss=7%", 'unknown-path: links has no "[1]"'),
        ("workloads.tow.size=1KB", 'unknown-path: workloads has no "tow"\n  hint: did you mean "two"?'),
        ("link[0].loss=7%", 'unknown-path: the file has no "link"\n  hint: did you mean "links"?'),
        ("links[0].loss.rate=7%", 'unknown-path: links[0].loss has no "rate"'),
        ("nodes.a.sysctls.x=7", 'unknown-path: nodes.a has no "sysctls"'),
        ("seed=7", "unknown-path: seed can't be varied\n  hint: --repeat"),
        ("name=y", "unknown-path: name can't be varied"),
        ("links[0].loss=1%,1%", "1:18: duplicate-value: links[0].loss takes 1% twice"),
        ("links[0].loss=", "no-values"),
        ("links[0].loss=1%]", "bad-yaml"),
        ("links[0].loss=!x 1%", "--set 'links[0].loss=!x 1%':1:15: tag"),
        ("links[0].loss", "bad-setting"),
        ("=1", "bad-setting"),
        ("expect[0]=two.godput > 1 mbit", "--set 'expect[0]=two.godput > 1 mbit':1:11: unknown-metric"),
        ("links[0].loss=~", "--set 'links[0].loss=~':1:15: no-value"),
    ],
)
def test_faults_have_the_path_of_the_setting(text, said):
    assert said in fault(text)


def test_a_key_that_is_set_twice_is_a_fault_in_any_notation():
    assert "duplicate-setting" in fault("workloads.one.congestion=reno", "workloads[0].congestion=bbr")
    assert "duplicate-setting" in fault("links[0]={between: [a, b]}", "links[0].loss=2%")


def test_faults_of_file_and_settings_are_reported_together():
    with pytest.raises(TopologyError) as caught:
        loads(TEXT.replace("10ms", "10"), "x.yml", settings=settings("links[0].loss=7", "lonks=1"))
    assert {one.code for one in caught.value.problems} == {"bad-value", "unknown-key"}
    assert {one.file for one in caught.value.problems} == {"x.yml", "--set 'links[0].loss=7'", "--set lonks=1"}


def test_a_file_names_its_factors(tmp_path):
    path = tmp_path / "x.yml"
    path.write_text(f"{TEXT}sweep:\n  set:\n    links[0].loss: [0%, 7]\n    workloads.one.congestion: [reno]\n")
    sweep = load(path).sweep
    assert sweep is not None
    assert sweep.repeat == 5
    loss, congestion = factors(path)
    assert [level.text for level in loss.levels] == ["0%", "7"]
    assert congestion.path == "workloads.one.congestion"
    assert load(path, [loss.levels[0]]).links[0].loss != load(path).links[0].loss
    with pytest.raises(UsageError, match=r"x\.yml:16:25: bad-value: links\[0\]\.loss"):
        load(path, [loss.levels[1]])


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        ("{set: {'lonks[0].loss': [1%]}}", 'x.yml:14:15: unknown-path: the file has no "lonks"'),
        ("{set: {'links[0].loss': [1%, 1%]}}", "x.yml:14:37: duplicate-value"),
        ("{set: {'links[0].loss': 1%}}", "must be a list"),
        ("{set: {'links[0].loss': []}}", "wrong-length"),
        ("{set: {'links 0': [1%]}}", "which is not the path of a value"),
        ("{set: {seed: [1]}}", "seed can't be varied"),
        ("{set: [1]}", "must be a mapping"),
        ("{repeat: 2}", 'lacks "set"'),
        ("{set: {'links[0].loss': [1%]}, repeat: 0}", "out-of-range"),
    ],
)
def test_a_sweep_of_a_file_is_checked_with_it(sweep, said):
    with pytest.raises(TopologyError) as caught:
        loads(f"{TEXT}sweep: {sweep}\n", "x.yml")
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1
