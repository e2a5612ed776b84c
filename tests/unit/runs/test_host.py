import json
import os
import platform

from testbed import codec
from testbed.runs import host


def test_facts_are_this_machines():
    facts = host.facts()
    assert facts.cores == os.cpu_count()
    assert facts.architecture == platform.machine()
    assert facts.memory_bytes == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert codec.decode(json.loads(json.dumps(codec.encode(facts))), host.HostFacts) == facts


def test_no_fact_names_the_machine():
    assert platform.node() not in json.dumps(codec.encode(host.facts()))


def test_facts_that_are_not_available_are_none(tmp_path):
    assert host._text(str(tmp_path / "none")) is None
    assert host._fields(str(tmp_path / "none")) == {}
