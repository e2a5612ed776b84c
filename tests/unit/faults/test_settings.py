"""Faults that last until another one sets the same: what each undoes, and which are in force."""

from typing import Any

import pytest

from testbed import codec
from testbed.faults import (
    AnySetting,
    Fault,
    FillDisk,
    InForce,
    NameFails,
    NameLies,
    NameSlow,
    SetClock,
    SlowDisk,
    State,
    Throttle,
    contradiction,
)

SETTINGS: dict[AnySetting, str] = {
    Throttle(node="a", cpus_milli=100): "a: 0.1 CPUs",
    SetClock(node="a", offset_ns=-5 * 10**9): "a: clock 5 s behind",
    NameFails(node="a", name="db", how="servfail"): "a: name db fails (SERVFAIL)",
    NameFails(node="a", name="*", how="timeout"): "a: all names fail (no answer)",
    NameSlow(node="a", name="db", delay_ns=2 * 10**9): "a: name db slow by 2 s",
    NameLies(node="a", name="db", answers=("198.18.0.9", "web")): "a: name db leads to 198.18.0.9, web",
    FillDisk(node="a", path="/data", full=True): "a: disk /data full",
    SlowDisk(node="a", path="/data", bytes_per_s=10**6): "a: disk /data 8 mbit/s",
}


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_what_undoes_a_setting_has_its_place_and_changes_nothing(setting):
    neutral = setting.neutral
    assert neutral.place == setting.place
    assert neutral.neutral == neutral
    assert (neutral.is_neutral, setting.is_neutral) == (True, False)
    assert str(setting) == SETTINGS[setting]
    kind: Any = Fault
    assert codec.decode(codec.encode(setting), kind) == setting


def test_the_last_setting_with_a_place_is_in_force():
    in_force = InForce()
    in_force.note(NameFails(node="a", name="DB", how="nxdomain"))
    in_force.note(Throttle(node="b", cpus_milli=100))
    in_force.note(NameSlow(node="a", name="db", delay_ns=1))
    in_force.note(FillDisk(node="a", path="/x", full=True))
    assert in_force.of({"a"}) == (
        NameSlow(node="a", name="db", delay_ns=1),
        FillDisk(node="a", path="/x", full=True),
    )
    assert in_force.nodes == {"a", "b"}
    for neutral in in_force.undoing({"a"}):
        in_force.note(neutral)
    assert in_force.undoing() == (Throttle(node="b"),)


def test_names_and_disks_of_a_node_that_is_off_can_only_be_healed():
    for setting in SETTINGS:
        if not isinstance(setting, Throttle | SetClock):
            assert contradiction(State.STOPPED, setting) == "is off"
            assert not contradiction(State.STOPPED, setting.neutral)
            assert not contradiction(State.PAUSED, setting)
