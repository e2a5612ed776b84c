"""What programs of nodes can do to this machine: SECURITY.md's claims, tried from inside as root of the node."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from testbed.lab import Lab
from testbed.linux import capabilities
from testbed.runtime.state import LabDirectory
from testbed.topology import loads
from tests.conftest import unused_name

pytestmark = pytest.mark.live

TOPOLOGY = """
name: confined
nodes:
  a: {SETUP}
  b: {volumes: ["./out:/mnt"], cap_drop: [NET_ADMIN], shm_size: 1MiB}
  more: {cap_add: [SYS_PTRACE], cap_drop: [KILL]}
  other: {user: nobody, cap_drop: [SETUID, SETGID], ulimits: {nofile: {soft: 20, hard: 30}}}
"""
SETUP = {"netns": "setup: [[sysctl, -w, net.ipv4.ip_forward=1]]", "docker": ""}
PLACES = ("/etc", "/usr", "/var/log", "/tmp", "/root", ".")
SETTINGS = ("/proc/sys/kernel/panic", "/proc/sys/vm/swappiness", "/proc/sysrq-trigger", "/sys/power/state")
TAKE_OVER = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
GETREGS, SETREGS, STEP, ATTACH, DETACH = 12, 13, 9, 16, 17
def trace(request, data=None):
    if libc.ptrace(request, 1, None, data):
        sys.exit("refused")
trace(ATTACH)
os.waitpid(1, 0)
data = ctypes.create_string_buffer(27 * 8)  # struct user_regs_struct
trace(GETREGS, data)
before = list(struct.unpack("27q", data.raw))
RAX, RDI, ORIG_RAX, RIP = 10, 14, 15, 16
def go(**to):
    registers = list(before)
    registers[RAX], registers[RDI], registers[ORIG_RAX], registers[RIP] = to["rax"], to["rdi"], -1, to["rip"]
    trace(SETREGS, ctypes.create_string_buffer(struct.pack("27q", *registers), 27 * 8))
go(rax=272, rdi=0x04000000, rip=before[RIP] - 2)  # unshare(CLONE_NEWUTS), which needs SYS_ADMIN
trace(STEP)
os.waitpid(1, 0)
trace(GETREGS, data)
print("unshare:", struct.unpack("27q", data.raw)[RAX])
go(rax=-4, rdi=before[RDI], rip=before[RIP])  # poll(2) was interrupted
trace(DETACH)
"""
"""Lets the node's first process make a system call, on x86_64; it waits in poll(2), so the instruction is there."""

CONNECT = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])"
DOCKERS = {
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}  # fmt: skip
"""By Docker's documentation, https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    made = tmp_path_factory.mktemp("confined")
    (made / "out").mkdir()
    (made / "read").write_text("the machine's")
    return made


def brought_up(directory, runtime):
    topology = loads(TOPOLOGY.replace("SETUP", SETUP[runtime]), "confined.yml", directory)
    with unused_name() as name, Lab.up(topology, name=name, runtime=runtime) as lab:
        yield lab


@pytest.fixture(scope="module")
def netns(directory):
    yield from brought_up(directory, "netns")


@pytest.fixture(scope="module")
def docker(directory):
    yield from brought_up(directory, "docker")


def bounding(lab, node):
    """The capabilities that a program of a node can have, as the kernel tells it."""
    line = lab[node].run(["grep", "CapBnd", "/proc/self/status"]).stdout
    return named(int(line.split()[1], 16))


def named(mask):
    return {name for name, number in capabilities.NUMBERS.items() if mask >> number & 1}


def shell(lab, node, script):
    return lab[node].run(["sh", "-c", script])


@pytest.mark.netns
def test_capabilities_are_bounded_and_what_the_file_adds_or_drops(netns):
    usual = DOCKERS - {"MKNOD"} | {"NET_ADMIN"}
    assert bounding(netns, "a") == usual
    assert bounding(netns, "b") == usual - {"NET_ADMIN"}
    assert bounding(netns, "more") == usual - {"KILL"} | {"SYS_PTRACE"}
    effective = netns["a"].run(["grep", "-E", "Cap(Prm|Eff|Inh|Amb)", "/proc/self/status"]).stdout.split()
    assert {int(mask, 16) for mask in effective[1::2]} == {0, sum(1 << capabilities.NUMBERS[name] for name in usual)}


@pytest.mark.netns
def test_the_first_process_has_nothing_to_take_over(netns):
    def held(node):
        masks = shell(netns, node, "grep -E 'Cap(Prm|Eff|Bnd)' /proc/1/status").stdout.split()[1::2]
        return [named(int(mask, 16)) for mask in masks]

    for node in ("a", "more"):
        assert held(node) == [bounding(netns, node) | {"KILL"}] * 2 + [bounding(netns, node)]
    assert bounding(netns, "other").isdisjoint({"SETUID", "SETGID"})
    assert shell(netns, "other", "id -un; ulimit -Sn; ulimit -Hn").stdout == "nobody\n20\n30\n"
    if os.uname().machine == "x86_64":
        assert "refused" in netns["a"].run(["python3", "-c", TAKE_OVER]).stderr
        done = netns["more"].run(["python3", "-c", TAKE_OVER])
        assert done.stdout == f"unshare: {-errno.EPERM}\n", done.stderr
        assert shell(netns, "more", "echo still there").stdout == "still there\n"


@pytest.mark.netns
def test_what_networks_need_still_works(netns):
    assert shell(netns, "a", "cat /proc/sys/net/ipv4/ip_forward").stdout == "1\n"  # by the file's setup
    for command in (
        "ip address add 198.18.254.1/32 dev lo && ping -c1 -W5 198.18.254.1",
        "ip route add 198.18.253.0/24 dev lo",
        "nft add table ip own && nft list tables | grep own",
        "ping -i0.3 127.0.0.1 >/dev/null & timeout 60 tcpdump -c1 -i lo -w /tmp/own.pcap icmp && kill $!",
    ):
        done = shell(netns, "a", command)
        assert done.status == 0, done.stderr
    assert shell(netns, "b", "ip link set lo mtu 1400").status != 0


@pytest.mark.netns
def test_what_a_node_writes_is_its_own_but_in_volumes(netns, directory):
    mark = f"confined-{os.getpid()}"
    for place in (*PLACES, "/run", "/dev/shm"):
        done = shell(netns, "a", f"echo x > {place}/{mark} && cat {place}/{mark}")
        assert done.stdout == "x\n", done.stderr
        assert shell(netns, "b", f"cat {place}/{mark}").status != 0
        assert not Path(place if place != "." else directory, mark).exists()
    assert (
        shell(netns, "a", "echo changed > read && cat read && rm read && ls").stdout == "changed\n" + f"{mark}\nout\n"
    )
    assert (directory / "read").read_text() == "the machine's"
    assert shell(netns, "b", "echo kept > /mnt/file && df -k /dev/shm | tail -1").stdout.split()[1] == "1024"
    assert (directory / "out" / "file").read_text() == "kept\n"


@pytest.mark.netns
def test_settings_and_devices_of_the_machine_are_out_of_reach(netns):
    for setting in SETTINGS:  # opened, and nothing is written
        if Path(setting).exists():
            assert shell(netns, "a", f": >> {setting}").status != 0, setting
    assert shell(netns, "a", "find /dev -type b; ls /dev/kmsg /dev/mem 2>/dev/null").stdout == ""
    for command in (
        "mknod /tmp/disk b 8 0",
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /",
        "umount /run",
        "ls /proc/1/root/",  # of the node's first process, which nothing can trace without SYS_PTRACE
        "chroot /proc/1/root true",
        "touch /directory-of-the-root",
    ):
        assert shell(netns, "a", command).status != 0, command


@pytest.mark.netns
def test_no_socket_of_the_machine_takes_a_nodes_connection(netns, directory):
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(directory / "service.sock"))
        service.listen()
        agent = LabDirectory("netns", netns.name).socket
        assert stat.S_ISSOCK(agent.stat().st_mode)
        for path in (agent, directory / "service.sock", Path("/var/run/docker.sock"), Path("/run/docker.sock")):
            subprocess.run([sys.executable, "-c", CONNECT, path], check=path in (agent, directory / "service.sock"))
            done = netns["a"].run(["python3", "-c", CONNECT, str(path)])
            assert done.status != 0, path
            assert "ConnectionRefusedError" in done.stderr or "FileNotFoundError" in done.stderr


@pytest.mark.netns
def test_no_socket_that_is_mounted_elsewhere_takes_a_nodes_connection(lab_name, tmp_path):
    text = "{name: apart, nodes: {a: {}}}"
    with tempfile.TemporaryDirectory(dir="/run") as own, socket.socket(socket.AF_UNIX) as service, ExitStack() as undo:
        service.bind(f"{own}/service.sock")
        service.listen()
        (file := tmp_path / "socket").touch()
        (directory := tmp_path / "services").mkdir()
        for source, target in ((f"{own}/service.sock", file), (own, directory)):
            subprocess.run(["mount", "--bind", source, target], check=True)
            undo.callback(subprocess.run, ["umount", target], check=True)
        with Lab.up(loads(text, "apart.yml"), name=lab_name, runtime="netns") as lab:
            for path in (file, directory / "service.sock"):
                subprocess.run([sys.executable, "-c", CONNECT, path], check=True)
                done = lab["a"].run(["python3", "-c", CONNECT, str(path)])
                assert "ConnectionRefusedError" in done.stderr or "FileNotFoundError" in done.stderr, path


@pytest.mark.docker
def test_containers_have_dockers_defaults_and_no_socket_of_it(docker):
    assert bounding(docker, "more") == DOCKERS - {"KILL"} | {"SYS_PTRACE"}
    for node in ("a", "b"):
        assert shell(docker, node, "id -u").stdout != "0\n"  # the testbed's own image has another user
        assert shell(docker, node, "find / -not -path '/proc/*' '(' -type s -o -type b ')' 2>/dev/null").stdout == ""


VANISHING = """
import os, subprocess, sys
from testbed.agent import own_files
from testbed.linux import mounts, namespaces

place = sys.argv[1]
namespaces.unshare(namespaces.NEWNS)
mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
mounts.mount("tmpfs", place, "tmpfs")
assert any(place in below for below in own_files.layered().values())
copied, copied_wake = os.pipe()
gone, gone_wake = os.pipe()
if not os.fork():
    namespaces.unshare(namespaces.NEWNS)
    make_read_only = mounts.make_read_only

    def once_the_mount_has_gone(path="", **options):
        if path == "/":  # all mounts are copied, and none is attached yet
            os.write(copied_wake, b"x")
            os.read(gone, 1)
        make_read_only(path, **options)

    mounts.make_read_only = once_the_mount_has_gone
    own_files.mount_layers()
    assert not os.path.exists(place)
    print("set up", flush=True)
    os._exit(0)
os.read(copied, 1)
subprocess.run(["umount", place], check=True)
os.rmdir(place)
os.write(gone_wake, b"x")
os.wait()
"""
"""Removes a mount and its directory while a node is set up: what a container's /dev/shm does when it ends."""


@pytest.mark.netns
def test_a_mount_that_goes_while_a_node_is_set_up_is_no_failure(tmp_path):
    (place := tmp_path / "mounted").mkdir()
    done = subprocess.run([sys.executable, "-c", VANISHING, place], capture_output=True, text=True, check=False)
    assert done.stdout == "set up\n", done.stderr
    assert not place.exists()
