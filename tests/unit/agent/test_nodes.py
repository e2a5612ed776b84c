import pytest

from testbed.agent import nodes

ID = "0123456789abcdef" * 4


@pytest.fixture
def proc(tmp_path):
    """A proc file system of processes: by pid their cgroup and when they started."""

    def make(**processes):
        for pid, (cgroup, started) in processes.items():
            directory = tmp_path / pid.removeprefix("pid")
            directory.mkdir()
            (directory / "cgroup").write_text(cgroup)
            (directory / "stat").write_text(f"1 (a) b) S {' '.join('0' * 18)} {started} 0\n")
        (tmp_path / "meminfo").write_text("")
        (tmp_path / "7").mkdir()  # one that has ended meanwhile
        return tmp_path

    return make


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/system.slice/docker-{ID}.scope\n",
        f"12:memory:/docker/{ID}\n1:name=systemd:/docker/{ID}\n",
        f"0::/user.slice/user-1000.slice/user@1000.service/own.slice/docker-{ID}.scope\n",
    ],
)
def test_processes_of_a_container_by_their_cgroup_oldest_first(proc, cgroup):
    made = proc(pid30=(cgroup, 500), pid40=(cgroup, 400), pid50=(cgroup.replace(ID, "f" * 64), 300))
    assert nodes.processes_of(ID, made) == [40, 30]
