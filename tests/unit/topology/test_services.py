"""The keys of nodes that are services: what they mean, and every error at its place."""

import pytest

from testbed.plan import resolve
from testbed.services import Build, Dependency, Device, PublishedPort, Ready, Tmpfs, Ulimit, Volume
from testbed.topology import TopologyError, loads

MS = 1_000_000


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "Dockerfile").touch()
    (tmp_path / "good.env").write_text("A=1\nB=file\n")
    (tmp_path / "bad.env").write_text("A=1\nno assignment\n")
    (tmp_path / "binary.env").write_bytes(b"\xff=1")
    return tmp_path


def node(keys, directory, others=""):
    text = f"name: x\nnetworks: {{lan: {{internal: false}}}}\nnodes:\n  a: {{{keys}}}\n  b: \n{others}"
    return resolve(loads(text, "x.yml", directory)).node("a")


def problems(nodes, directory, top=""):
    text = f"name: x\n{top}nodes:\n" + "".join(f"  {line}\n" for line in nodes.splitlines())
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.yml", directory)
    return caught.value.problems


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("build: ./site", {"build": Build(context="./site")}),
        (
            "build: {context: site, args: [V=1.10, W=], target: x}",
            {"build": Build(context="site", args=(("V", "1.10"), ("W", "")), target="x")},
        ),
        ("entrypoint: /bin/app --flag", {"entrypoint": ("/bin/app", "--flag")}),
        ("volumes: ['./site/:/srv/x/']", {"volumes": (Volume(source="./site/", target="/srv/x"),)}),
        ("volumes: ['site/..:/srv']", None),
        ("volumes: ['./site:/srv:ro']", {"volumes": (Volume(source="./site", target="/srv", read_only=True),)}),
        ("tmpfs: /run", {"tmpfs": (Tmpfs(target="/run"),)}),
        (
            "tmpfs: ['/a:size=1m,mode=700,exec']",
            {"tmpfs": (Tmpfs(target="/a", options=("size=1m", "mode=700", "exec")),)},
        ),
        ("ports: [80]", {"ports": (PublishedPort(port=80),)}),
        ("ports: [8080:80]", {"ports": (PublishedPort(port=80, host_port=8080),)}),
        (
            "ports: ['127.0.0.1:53:5353/udp']",
            {"ports": (PublishedPort(port=5353, host_port=53, host_address="127.0.0.1", protocol="udp"),)},
        ),
        ("ports: ['127.0.0.1::80']", {"ports": (PublishedPort(port=80, host_address="127.0.0.1"),)}),
        ("cap_add: [cap_net_raw, ALL]", {"cap_add": ("NET_RAW", "ALL")}),
        (
            "devices: [/dev/net/tun, '/dev/a:/dev/b:r', '/dev/c:rw']",
            {
                "devices": (
                    Device(host="/dev/net/tun", container="/dev/net/tun"),
                    Device(host="/dev/a", container="/dev/b", permissions="r"),
                    Device(host="/dev/c", container="/dev/c", permissions="rw"),
                )
            },
        ),
        (
            "ulimits: {nofile: 5, core: {soft: 0, hard: -1}}",
            {"ulimits": (Ulimit(name="nofile", soft=5, hard=5), Ulimit(name="core", soft=0, hard=-1))},
        ),
        ("cpuset: '0-1,3, 2'", {"cpuset": "0-3", "pids_limit": 0}),
        ("cpuset: 1", {"cpuset": "1"}),
        ("pids_limit: 100", {"pids_limit": 100, "cpuset": ""}),
        ("extra_hosts: {x.y: 198.18.0.9}", {"extra_hosts": (("x.y", "198.18.0.9"),)}),
        ("extra_hosts: ['x:2001:2::9', 'y=198.18.0.9']", {"extra_hosts": (("x", "2001:2::9"), ("y", "198.18.0.9"))}),
        ("dns: 198.18.0.9", {"dns": ("198.18.0.9",)}),
        ("restart: no", {"restart": "no"}),
        ("restart: false", {"restart": "no"}),
        ("restart: on-failure:3", {"restart": "on-failure:3"}),
        ("shm_size: 2GB", {"shm_bytes": 2 * 10**9}),
        ("stop_signal: QUIT", {"stop_signal": "SIGQUIT"}),
        ("stop_signal: 15", {"stop_signal": "SIGTERM"}),
        ("labels: [a=b=c, d]", {"labels": (("a", "b=c"), ("d", ""))}),
        ("setup: ['ip route', [true-ish, 'a b']]", {"setup": (("ip", "route"), ("true-ish", "a b"))}),
        ("depends_on: [b]", {"depends_on": (Dependency(node="b", condition="service_healthy"),)}),
        (
            "depends_on: {b: {condition: service_started}}",
            {"depends_on": (Dependency(node="b", condition="service_started"),)},
        ),
    ],
)
def test_what_keys_mean(directory, keys, expected):
    if expected is None:
        with pytest.raises(TopologyError, match="name of a volume"):
            node(keys, directory)
        return
    service = node(keys, directory).service
    assert {name: getattr(service, name) for name in expected} == expected


def test_the_environment_comes_before_files_and_later_files_before_earlier(directory):
    (directory / "later.env").write_text("B=later\nC=file\n")
    made = node("env_file: [good.env, later.env], environment: {C: own}", directory)
    assert made.environment == {"A": "1", "B": "later", "C": "own"}


@pytest.mark.parametrize(
    ("ready", "expected"),
    [
        ("{tcp: 80}", Ready(tcp=80, timeout_ns=10_000 * MS)),
        ("{udp: 53}", Ready(tcp=None, udp=53, timeout_ns=10_000 * MS)),
        ("{http: /x, port: 8080, timeout: 1s}", Ready(tcp=None, http="/x", port=8080, timeout_ns=1000 * MS)),
        (
            "{command: [a, b], interval: 1s}",
            Ready(tcp=None, command=("a", "b"), timeout_ns=10_000 * MS, interval_ns=1000 * MS),
        ),
        ("{log: 'up$'}", Ready(tcp=None, log="up$", timeout_ns=10_000 * MS)),
        ("{healthcheck: true}", Ready(tcp=None, healthcheck=True, timeout_ns=10_000 * MS)),
    ],
)
def test_ways_to_be_ready(directory, ready, expected):
    assert node(f"ready: {ready}", directory).ready == expected


ERRORS = [
    ("build: ^./none", "no-such-file", "no directory"),
    ("build: ^.", "no-such-file", "Dockerfile"),
    ("volumes: [^./none:/x]", "no-such-file", "does not exist"),
    ("volumes: [^data:/x]", "bad-value", "there are only paths here"),
    ("volumes: [^./site]", "bad-value", "SOURCE:TARGET"),
    ("volumes: [^./site:x]", "bad-value", "not an absolute path"),
    ("volumes: [^./site:/x:rx]", "bad-value", "SOURCE:TARGET"),
    ("volumes: [^./site:/x/../y]", "bad-value", "not an absolute path"),
    ("volumes: [./site:/x, ^./site:/x]", "duplicate-target", "as is nodes.a.volumes[0]"),
    ("tmpfs: ^/x, volumes: [./site:/x]", "duplicate-target", "as is nodes.a.volumes[0]"),
    ("tmpfs: ^/run:foo", "bad-value", "not an option"),
    ("ports: [^70000]", "bad-value", "1 to 65535"),
    ("ports: [^80-82:80]", "bad-value", "range"),
    ("ports: [^80/sctp]", "bad-value", "neither tcp nor udp"),
    ("ports: [^'1.2.3:1:1']", "bad-value", "no IPv4 address"),
    ("ports: [^a:b]", "bad-value", "8080:80"),
    ("ports: [80:1, ^'127.0.0.1:80:2']", "duplicate-port", "nodes.a.ports[0] at line 4"),
    ("cap_add: [^NET_ADMN]", "bad-value", 'did you mean "NET_ADMIN"'),
    ("cap_drop: [^X]", "bad-value", "SYS_ADMIN"),
    ("devices: [^tun]", "bad-value", "/dev/net/tun"),
    ("privileged: ^1", "wrong-type", "true or false"),
    ("ulimits: {^nofoo: 1}", "bad-value", "nofile"),
    ("ulimits: {nofile: ^many}", "bad-value", "whole number"),
    ("ulimits: {nofile: ^{soft: 2, hard: 1}}", "bad-value", "at most the hard one"),
    ("ulimits: {nofile: ^{soft: 2}}", "bad-value", "must have soft and hard"),
    ("cpuset: ^'x'", "bad-value", "not a list of CPUs"),
    ("cpuset: ^'3-1'", "bad-value", "3 is more than 1"),
    ("cpuset: ^-1", "bad-value", "0-1,3"),
    ("cpuset: ^'0-8192'", "bad-value", "8191"),
    ("cpuset: ^[0]", "wrong-type", "numbers of CPUs"),
    ("pids_limit: ^0", "out-of-range", "at least 1"),
    ("pids_limit: ^-5", "out-of-range", "at least 1"),
    ("pids_limit: ^many", "wrong-type", "whole number"),
    ("^pids: 100", "unknown-key", 'did you mean "pids_limit"'),
    ("extra_hosts: [^x]", "bad-value", "no IP address"),
    ("extra_hosts: {x: ^y}", "bad-value", "no IP address"),
    ("dns: [^here]", "bad-value", "no IP address"),
    ("hostname: ^-x", "bad-value", "not a host name"),
    (f"hostname: ^{'x' * 65}", "bad-value", "not a host name"),
    ("env_file: ^none.env", "no-such-file", "is no file"),
    ("env_file: [^bad.env]", "bad-value", "line 2 is not NAME=VALUE"),
    ("env_file: ^binary.env", "bad-value", "UTF-8"),
    ("restart: ^often", "bad-value", "unless-stopped"),
    ("pull_policy: ^often", "unknown-value", "missing"),
    ("^pull: always", "unknown-key", "pull_policy"),
    ("platform: ^arm", "bad-value", "linux/arm64"),
    ("user: ^'-x'", "bad-value", "www-data"),
    ("working_dir: ^srv", "bad-value", "/srv"),
    ("shm_size: ^2gb", "bad-value", "64KB"),
    ("stop_signal: ^SIGFOO", "bad-value", "SIGTERM"),
    ("labels: {^testbed.lab: x}", "bad-value", "testbed's own"),
    ("entrypoint: ^[]", "wrong-length", "at least 1"),
    ("ready: ^{tcp: 80, http: /}", "several-conditions", "has tcp and http"),
    ("ready: ^{tcp: 53, udp: 53}", "several-conditions", "has tcp and udp"),
    ("ready: ^{timeout: 1s}", "missing-key", "has none of tcp, udp, http"),
    ("ready: {udp: ^0}", "out-of-range", "at least 1"),
    ("ready: {udp: ^dns}", "wrong-type", "whole number"),
    ("ready: ^{udp: 53, port: 80}", "contradiction", "http's"),
    ("ready: ^{tcp: 80, port: 80}", "contradiction", "http's"),
    ("ready: {log: ^'('}", "bad-value", "no regular expression"),
    ("ready: {healthcheck: ^false}", "bad-value", "must be true"),
    ("depends_on: [^nobody]", "unknown-node", "nodes are: a"),
    ("depends_on: [^a]", "same-node", "wait for itself"),
    ("depends_on: {b: {condition: ^healthy}}", "unknown-value", "service_healthy"),
    ("depends_on: {b: ^{condition: service_healthy}}", "never-healthy", "ready"),
    ("depends_on: {b: ^{condition: service_completed_successfully}}", "unsupported", "setup"),
]


@pytest.mark.parametrize(("marked", "code", "said"), ERRORS, ids=[keys for keys, *_ in ERRORS])
def test_errors_are_told_at_their_place_with_the_fix(directory, marked, code, said):
    """The place is marked by ^."""
    before, keys = marked.partition("^")[0], marked.replace("^", "")
    (problem,) = problems(f"a: {{{keys}}}\nb:", directory, "networks: {lan: {internal: false}}\n")
    assert (problem.line, problem.column, problem.code) == (4, len("  a: {") + len(before) + 1, code), problem
    assert said in f"{problem.message} {problem.hint}"


def test_circles_are_found(directory):
    (problem,) = problems(
        "a: {depends_on: [b]}\nb: {depends_on: [c]}\nc: {depends_on: [a]}\nd: {depends_on: [a]}", directory
    )
    assert problem.code == "circle"
    assert sorted(set(problem.message.split("itself: ")[1].split(" -> "))) == ["a", "b", "c"]


def test_ports_need_a_network_that_is_not_internal(directory):
    (problem,) = problems("a: {ports: [8080:80]}", directory)
    assert (problem.line, problem.column, problem.code) == (3, 14, "internal-network")
    assert "internal: false" in problem.hint
    text = "name: x\nnetworks: {i: , o: {internal: false}}\nnodes: {a: {networks: [i, o], ports: [8080:80]}}"
    assert loads(text, "x.yml", directory)


def test_the_same_port_of_two_addresses_or_protocols_is_no_contradiction(directory):
    assert node("ports: ['127.0.0.1:80:1', '127.0.0.2:80:1', '127.0.0.1:80:1/udp', 80, 80]", directory)


def test_services_decide_and_their_absence_changes_no_digest(directory):
    def digest(keys):
        return resolve(loads(f"name: x\nnodes: {{a: {{{keys}}}}}", "x.yml", directory)).digest

    kinds = ["", "user: root", "volumes: [./site:/x]", "volumes: [./site:/x:ro]", "setup: [a]", "labels: {a: b}"]
    assert len({digest(keys) for keys in kinds}) == len(kinds)
    before = digest("volumes: [./site:/x]")
    (directory / "site" / "more").write_text("another content")
    assert digest("volumes: [./site:/x]") == before
