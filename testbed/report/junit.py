"""A run as JUnit XML, which CI systems read: a test case for each checked link or NAT, and for each expectation."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from testbed.analysis import formatting

if TYPE_CHECKING:
    from testbed.runs.run import Run

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write (section 2.2)."""


def junit_report(run: Run) -> bytes:
    """Return the XML in UTF-8. Failures have measured and expected values; the output says why a run is not trusted."""
    cases = [("links", check.full_name, check.passed, check.verdict) for check in run.checks]
    cases += [("nats", check.name, check.passed, check.verdict) for check in run.nats]
    for outcome in run.outcomes:
        found, wanted = formatting.outcome_cells(outcome)
        said = f"found {found}, wanted {wanted}" if outcome.reason is None else formatting.outcome_verdict(outcome)
        cases.append(("expect", outcome.expectation, outcome.passed, said))
    failures = sum(not passed for _, _, passed, _ in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": run.plan.lab, "timestamp": run.started, **counts})
    for group, name, passed, said in cases:
        case = ET.SubElement(suite, "testcase", {"classname": f"{run.plan.topology}.{group}", "name": name})
        if not passed:
            ET.SubElement(case, "failure", {"message": _NOT_XML.sub("?", said)})
    if run.distrust:
        ET.SubElement(suite, "system-out").text = _NOT_XML.sub("?", "\n".join(run.distrust))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True).encode()
