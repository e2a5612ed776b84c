"""What the rules of labs say about the machine."""

import pytest

from testbed.agent import exit_rules

LISTED = """table ip {table} {{
	chain published {{
		type nat hook prerouting priority dstnat; policy accept;
	}}
	chain {chain} {{
		type filter hook forward priority filter; policy accept;
	}}
}}
"""


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ([("testbed-shop", "others")], True),
        ([("filter", "FORWARD"), ("testbed-shop", "others")], True),
        ([("testbed-shop", "inwards"), ("filter", "others")], False),  # a chain that is no lab's
        ([], False),
    ],
)
def test_only_the_tables_of_labs_say_that_the_machine_forwards_for_labs_alone(tables, found):
    listed = "".join(LISTED.format(table=table, chain=chain) for table, chain in tables)
    assert exit_rules.has_others(listed) is found
