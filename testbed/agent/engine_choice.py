"""Chooses the engine of each link, and refuses links that no engine can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from testbed.agent.messages import ChosenEngine
from testbed.engines.choice import choose
from testbed.errors import LabError, MachineError
from testbed.names import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from testbed.agent.messages import LinkRequest
    from testbed.agent.wiring import Wiring
    from testbed.engines.engine import Engine
    from testbed.matching import LinkKey


def engine_for(
    link: LinkRequest, wiring: Wiring, engines: Mapping[str, Engine], missing: Mapping[str, MachineError]
) -> ChosenEngine:
    """Choose the engine of a requested link.

    Args:
        link: the link, with the impairments that it is to have.
        wiring: the nodes and ports of the lab.
        engines: by name, in order of preference.
        missing: those that do not work here, and why.

    Raises:
        MachineError: `engine-unavailable`.
        LabError: no engine can carry out the impairments; `offload-not-ours`; `port-gone`.
    """
    key = link.key
    awaited = wiring.awaits(*key.nodes, network=key.network)
    is_distant = (key.source, key.network) in wiring.distant
    for node in key.nodes[is_distant:]:
        port = wiring.last_port(node, key.network) if awaited else wiring.port(node, key.network)
    far = {name: _far_sender(key, name) for name, each in engines.items() if is_distant and each.needs_single_packets}
    engine, why = choose(
        str(key),
        [link.impairments, *link.later],
        link.engine,
        {name: each for name, each in engines.items() if name not in far},
        {**missing, **far},
        mtu=port.mtu,
        repeatable=link.repeatable,
    )
    _require_own_sender(key, engines[engine], engine, wiring)
    return ChosenEngine(engine=engine, why=why)


def _far_sender(key: LinkKey, engine: str) -> MachineError:
    """Return why an engine that needs single packets can't have a link whose sender is on another machine.

    Segmentation offloads would have to be off at the sender, and GRO at whatever the machines are connected by.
    """
    said = f"{key}: {engine} needs single packets, and the sender is on another machine"
    return MachineError("engine-unavailable", said, "give the link engine: userspace")


def _require_own_sender(key: LinkKey, engine: Engine, name: str, wiring: Wiring) -> None:
    """Require that the offloads of a link's sender may be switched off, if its engine needs that.

    Raises:
        LabError: `offload-not-ours`: the sender is the bridge of a network that others use too.
    """
    shared = key.source in BUILT_IN and key.network in wiring.open_networks
    if shared and engine.needs_single_packets:
        raise LabError(
            "offload-not-ours",
            f"{key}: {name} needs the segmentation offloads of the network's bridge off, which others use too",
            "give the link engine: userspace",
        )
