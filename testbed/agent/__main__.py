"""`python -m testbed.agent --lab NAME --socket PATH`: start an agent; it serves until told to shut down.

With `--ahead` it may be started before it is known for which lab: when it has imported what it needs, which is what
takes its time, it says so on standard output, and takes all else from standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from testbed import logs
from testbed.agent import aliases, device_requests, guardian, isolation, link_devices, links, protocol
from testbed.agent.attachments import Attachments
from testbed.agent.journal import Journal, undo
from testbed.agent.lab_events import Events
from testbed.agent.members import Members
from testbed.agent.messages import EngineReport
from testbed.agent.netlink import RouteSocket
from testbed.agent.server import AgentServer
from testbed.agent.tasks import cancelled
from testbed.agent.way_out import WayOut
from testbed.agent.wires import Wires
from testbed.agent.wiring import Wiring
from testbed.engines import ENGINES, load
from testbed.engines.engine import Switch
from testbed.errors import MachineError, TestbedError
from testbed.linux import namespaces

if TYPE_CHECKING:
    from testbed.agent.docker_engine import LocalDockerEngine
    from testbed.agent.faults import NodeFaults


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="testbed-agent", description="The only privileged process of a lab.")
    parser.add_argument("--lab", default="", help="name of the lab")
    parser.add_argument("--socket", type=Path, help="Unix socket to listen on")
    parser.add_argument("--isolate", action="store_true", help="live in namespaces of its own (runtime netns)")
    parser.add_argument("--ahead", action="store_true", help="take all else from a line of standard input")
    parser.add_argument("--name", help="what the process is called, by which it is found")
    parser.add_argument("--log", type=Path, help="where output goes from then on")
    parser.add_argument(
        "--docker-engine", type=Path, help="Unix socket of the Docker Engine that the containers are of"
    )
    parser.add_argument("--unguarded", action="store_true", help="start no guardian; somebody else does")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends before the lab is up")
    parser.add_argument("--debug", action="store_true", help="log everything")
    parser.add_argument("--probe", action="store_true", help="say in JSON what an agent can do here, and end")
    parser.add_argument("--journal", type=Path, help="what the agent changes outside the lab is written to this file")
    parser.add_argument("--guard", type=int, metavar="PID", help="put back what that agent changed when it is killed")
    parser.add_argument("--sweep", action="store_true", help="remove what a killed agent of the lab left, and end")
    arguments = parser.parse_args()
    if arguments.ahead:
        os.write(1, protocol.READY)
        told = sys.stdin.buffer.readline()
        if not told:
            return 0  # nobody needs an agent after all
        arguments = parser.parse_args(json.loads(told))
        namespaces.set_process_name(arguments.name)
        _log_to(arguments.log)
    logs.configure(logging.DEBUG if arguments.debug else logging.INFO)
    gc.freeze()  # what is imported is no garbage: nothing is looked for in it, now or when the agent ends
    try:
        if arguments.sweep:
            _sweep(arguments.lab, arguments.journal)
        elif arguments.guard:
            guardian.guard(arguments.lab, os.pidfd_open(arguments.guard), Journal.at(arguments.journal))
        else:
            machine = namespaces.current_network()
            if arguments.isolate:
                isolation.isolate(guardian.start_ahead(arguments.lab, arguments.journal) if arguments.journal else None)
            elif arguments.journal and not arguments.unguarded:
                guardian.start(arguments.lab, arguments.journal)
            asyncio.run(_probe() if arguments.probe else _serve(arguments, machine))
    except TestbedError as error:
        # The command that waits for the socket reads the last line of the log; see runtime/local_agent.py.
        sys.stderr.buffer.write(protocol.encode(protocol.error_message(error)))
        return error.exit_code
    return 0


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


_log = logging.getLogger("testbed.agent")


def _sweep(lab: str, journal_path: Path | None) -> None:
    if journal_path:
        lab_journal = Journal.at(journal_path)
        undo.put_back(lab_journal, agent_died=True, lab=lab)
        lab_journal.close()
    with RouteSocket() as route:
        aliases.sweep(route, lab)


async def _probe() -> None:
    trial = namespaces.new_network()
    with namespaces.inside(trial), RouteSocket() as route:
        switch = Switch(trial, trial, link_devices.LinkDevices("probe", trial, route, trial))
        found = {name: await load(name, switch).probe() for name in ENGINES}
    reports = {
        name: EngineReport(
            description=availability.description,
            problem=availability.missing.message if availability.missing else None,
            hint=availability.missing.hint if availability.missing else None,
        )
        for name, availability in found.items()
    }
    sys.stdout.buffer.write(protocol.line_of(reports))


async def _serve(arguments: argparse.Namespace, machine: int) -> None:
    """Serve a lab. `machine` is a file descriptor of the machine's network namespace."""
    if sys.version_info < (3, 12):  # the default from then on; threads and preexec_fn do not go together
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)
    if not arguments.isolate and os.geteuid() != 0:
        raise MachineError("agent-needs-root", f"the agent was started by user {os.geteuid()}", "start it as root")
    switch_fd = namespaces.current_network()
    home_fd = switch_fd if arguments.isolate else namespaces.new_network()
    if not arguments.isolate:
        namespaces.setns(home_fd, namespaces.NEWNET)
    with namespaces.inside(switch_fd):
        route = RouteSocket()
    with namespaces.inside(home_fd), RouteSocket() as home:
        home.send([device_requests.state(1, is_up=True)])
    wiring = Wiring(switch_fd, route)
    devices = link_devices.LinkDevices(arguments.lab, switch_fd, route, home_fd)
    lab_journal = Journal.at(arguments.journal) if arguments.journal else None
    events = Events()
    impaired = links.Links(wiring, devices, {}, {}, None if arguments.isolate else lab_journal, events)
    engine = _docker_engine(arguments.docker_engine) if arguments.docker_engine else None
    attachments = Attachments(wiring, impaired, Members(wiring, impaired, engine), Wires(wiring, devices), events)
    leads_out = lab_journal if arguments.isolate else None
    way_out = WayOut(arguments.lab, machine, wiring, devices, leads_out) if leads_out else None
    server = AgentServer(
        arguments.lab,
        wiring,
        impaired,
        attachments,
        arguments.socket.parent,
        events=events,
        isolated=arguments.isolate,
        way_out=way_out,
    )
    with socket.socket(socket.AF_UNIX) as listener:
        _listen(listener, arguments.socket)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, server.ended.set)
        if arguments.lifeline:
            loop.add_reader(0, _lifeline, server)
        _log.info("agent of lab %s answers, pid %d", arguments.lab, os.getpid())
        tasks = [
            asyncio.create_task(work) for work in (server.serve(listener), attachments.follow(), server.reports.look())
        ]
        for task in tasks:
            task.add_done_callback(lambda _: server.ended.set())
        await server.ended.wait()
        events.close()
        await _give_back(wiring, server.node_faults, way_out)
        for task in tasks:
            if task.done():
                task.result()  # whatever ended it ends the agent, and with it all links
            await cancelled(task)
        arguments.socket.unlink(missing_ok=True)
        if lab_journal:
            with namespaces.inside(machine):
                undo.put_back(lab_journal, agent_died=False)
        await impaired.close(with_side=arguments.isolate)
        if not arguments.isolate:
            aliases.sweep(route, arguments.lab)


def _docker_engine(path: Path) -> LocalDockerEngine:
    from testbed.agent.docker_engine import LocalDockerEngine  # noqa: PLC0415  # it imports an HTTP client

    return LocalDockerEngine(path)


async def _give_back(wiring: Wiring, node_faults: NodeFaults, way_out: WayOut | None) -> None:
    """Make attached containers that faults keep from running run again, and leave the machine alone from now on."""
    _log.info("agent ends")
    if way_out:
        await way_out.close()
    if wiring.open_networks:
        try:
            await node_faults.heal_all()
        except TestbedError as error:
            _log.warning("not all nodes run again: %s", error)
    try:
        node_faults.close()
    except TestbedError as error:
        _log.warning("not all that was made for faults is removed: %s", error)


def _listen(listener: socket.socket, path: Path) -> None:
    """Bind under a temporary name and rename: a socket that can be seen accepts connections."""
    listener.setblocking(False)  # noqa: FBT003
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    listener.bind(str(temporary))
    temporary.chmod(0o600)
    listener.listen(128)
    temporary.rename(path)


def _lifeline(server: AgentServer) -> None:
    """Standard input ended: the command that was bringing the lab up has ended, or the lab is up."""
    asyncio.get_running_loop().remove_reader(0)
    if not server.reports.is_up:
        server.ended.set()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:  # noqa: BLE001  # the log is all that is left of it
        traceback.print_exc()
        sys.exit(4)
