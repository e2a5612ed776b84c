"""`testbed capture`: capture packets at a node of a lab into a pcap file."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from pydantic import TypeAdapter, ValidationError

from testbed import codec, units
from testbed.analysis import formatting
from testbed.cli import json_output
from testbed.errors import UsageError
from testbed.lab import Lab
from testbed.lab.capturing import SIZE_BYTES, SNAP_BYTES, find_port
from testbed.topology.values import CaptureSize, SnapSize, SomeDuration

if TYPE_CHECKING:
    from collections.abc import Callable

STANDARD_OUTPUT = "-"
_SECOND = 10**9


def _read_as(kind: Any) -> Callable[[click.Context, click.Parameter, str | None], int | None]:  # noqa: ANN401
    """Return a click callback that parses an option as topology files parse such a value."""
    adapter: TypeAdapter[int] = TypeAdapter(kind)

    def read(_context: click.Context, _parameter: click.Parameter, value: str | None) -> int | None:
        try:
            return None if value is None else adapter.validate_python(value)
        except ValidationError as error:
            raise click.BadParameter(error.errors()[0]["msg"].removeprefix("is wrong: ")) from None

    return read


@click.command("capture")
@click.argument("name", metavar="LAB")
@click.argument("node")
@click.option("--network", help="Network to capture on, if the node is on several.")
@click.option(
    "-o", "--output", metavar="FILE", help="File to write, - for standard output.  [default: NODE-NETWORK.pcap]"
)
@click.option(
    "--duration",
    metavar="TIME",
    callback=_read_as(SomeDuration),
    help="How long to capture, such as 10s; by default until Ctrl-C.",
)
@click.option(
    "--snap",
    metavar="SIZE",
    default=units.SIZE.format(SNAP_BYTES),
    show_default=True,
    callback=_read_as(SnapSize),
    help="Bytes to keep of each packet.",
)
@click.option(
    "--size",
    metavar="SIZE",
    default=units.SIZE.format(SIZE_BYTES),
    show_default=True,
    callback=_read_as(CaptureSize),
    help="Limit on the size of all packets; the newest are kept.",
)
@json_output.as_json
def capture_command(
    name: str,
    node: str,
    *,
    network: str | None,
    output: str | None,
    duration: int | None,
    snap: int,
    size: int,
    as_json: bool,
) -> None:
    """Capture the packets that a node of LAB sends and receives: testbed capture lossy client -o client.pcap."""
    if as_json and output == STANDARD_OUTPUT:
        raise UsageError("two-outputs", "--json and the packets would both go to standard output", "name a file")
    # Packets are kept whichever signal ends the capture. A background job of a script starts with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    lab = Lab.attach(name)
    port = find_port(lab.plan, node, network)
    file = Path("/dev/stdout" if output == STANDARD_OUTPUT else output or port.file)
    capturing = lab.capture(node, file, network=port.network, snap_bytes=snap, size_bytes=size)
    with capturing, suppress(KeyboardInterrupt):
        ends = "Ctrl-C ends it" if duration is None else f"for {units.DURATION.format(duration)}"
        if not as_json:
            click.echo(f"capture {node} on {port.network}; {ends}", err=True)
        capturing.wait(None if duration is None else duration / _SECOND)
    if as_json:
        json_output.show([codec.encode(capture) | {"file": str(file)} for capture in capturing.captures])
    else:
        click.echo(f"capture {output or file}   {formatting.captures_text(capturing.captures)}", err=True)
