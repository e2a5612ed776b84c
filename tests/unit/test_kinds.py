"""What the registry says of every kind, against the kind's parts."""

import json
import subprocess
import sys
from typing import Literal, get_args, get_origin

import pytest

from testbed.kinds import OWN, find, kinds
from testbed.metrics import METRICS
from testbed.parameters import Text, problem
from testbed.plan import resolve
from testbed.topology import loads
from testbed.topology.workloads import KINDS
from testbed.topology.workloads.base import Work, WorkloadKeys
from testbed.workloads.summarisers import Base

CHOSEN_BY_THE_PLAN = {"http": {"host"}}
OF_PROBES = {"udp-stream": {"dscp", "kernel_times", "protocol", "source_port"}}
WITH_ENDPOINTS = [name for name in OWN if kinds()[name].by_endpoint]


def own_fields(model):
    base = WorkloadKeys if issubclass(model, WorkloadKeys) else Work
    return {name: field for name, field in model.model_fields.items() if name not in base.model_fields}


def choices(annotation):
    found = [annotation, *get_args(annotation)]
    return next((get_args(one) for one in found if get_origin(one) is Literal), ())


@pytest.mark.parametrize("name", OWN)
def test_a_kind_has_all_of_its_parts(name):
    kind = kinds()[name]
    assert kind.name == name
    assert kind.keys_model is KINDS[name]
    assert issubclass(kind.summariser, Base)
    ends = kind.part("traffic" if kind.by_endpoint else "program")
    for role in ("client", "server"):
        has = hasattr(ends, role if kind.by_endpoint else role.capitalize())
        assert has == (role == "client" or kind.has_server), role


@pytest.mark.parametrize("name", WITH_ENDPOINTS)
def test_the_keys_of_the_file_are_the_parameters_of_the_endpoint(name):
    kind, fields = kinds()[name], own_fields(kinds()[name].keys_model)
    assert fields.keys() - {"port"} == kind.parameters.keys() - CHOSEN_BY_THE_PLAN.get(name, set()) - OF_PROBES.get(
        name, set()
    )
    for parameter, form in kind.parameters.items():
        if isinstance(form, Text) and (written := choices(fields[parameter].annotation) if parameter in fields else ()):
            assert form.choices == written, parameter


@pytest.mark.parametrize("name", WITH_ENDPOINTS)
def test_an_endpoint_accepts_what_a_plan_has_of_the_shortest_file(name):
    more = ", query: example.org" if name == "dns" else ""
    text = f"name: x\nnodes: {{a: , b: }}\nworkloads: [{{name: w, kind: {name}, from: a, to: b{more}}}]\n"
    (workload,) = resolve(loads(text, "x.yml")).workloads
    kind = kinds()[name]
    sent = json.loads(json.dumps(dict(workload.parameters)))
    assert problem(name, sent, kind.parameters, one_of=kind.one_of) is None


def test_the_declared_metrics_are_there():
    for name, kind in kinds().items():
        declared = {one if isinstance(one, str) else one.name for one in kind.metrics}
        assert declared == {metric.name for metric in METRICS.values() if name in metric.kinds}


def test_an_unknown_kind_is_not_found():
    assert find("gopher") is None


@pytest.mark.parametrize("name", WITH_ENDPOINTS)
def test_an_endpoint_imports_one_kind_and_nothing_of_the_orchestrators(name):
    program = (
        "import sys; from testbed import kinds; import testbed.endpoint.__main__; "
        f"kinds.find({name!r}).part('traffic'); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    parts = {module.split(".")[3] for module in loaded if module.startswith("testbed.workloads.kinds.")}
    assert parts == {name.replace("-", "_")}
    assert not {"click", "docker", "msgspec", "pydantic", "pyroute2", "rich", "yaml"} & set(loaded)
    assert not {"testbed.metrics", "testbed.plan", "testbed.topology", "importlib.metadata"} & set(loaded) - (
        {"importlib.metadata"} if name in ("dns", "http", "quic") else set()
    )
