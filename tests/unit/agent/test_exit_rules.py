"""What the rules of labs say about the machine."""

from testbed.agent import exit_rules

LISTED = """table ip filter {
    set opened {
        type ifname
        elements = { "nobodys" }
    }
}
table ip testbed-shop {
    set opened {
        type ifname
        elements = { "eth0", "wlan0",
                 "vpn" }
    }
}
table ip testbed-none {
    set opened {
        type ifname
    }
    set further {
        type ifname
        elements = { "eth1" }
    }
}
table ip testbed-other {
    set opened {
        type ifname
        elements = { "eth2.5" }
    }
}
"""


def test_only_the_sets_of_labs_say_what_the_machine_forwards_by_because_of_labs():
    assert exit_rules.opened_in(LISTED) == {"eth0", "wlan0", "vpn", "eth2.5"}
    assert exit_rules.opened_in("") == set()
