"""`testbed watch` and `testbed events`: a lab that is up, as it is now and as it changes."""

from __future__ import annotations

import sys
from contextlib import suppress

import click

from testbed.cli import json_output
from testbed.errors import MachineError, UsageError
from testbed.lab import Lab


@click.command("watch")
@click.argument("name", metavar="LAB")
@click.option("--web", is_flag=True, help="Serve it as a page for a browser on this machine, until Ctrl-C.")
def watch_command(name: str, *, web: bool) -> None:
    """Watch LAB live: its nodes, its links with their rates, drops and queues, and what happens to it.

    The bottom of the screen shows the keys, which do the same as testbed impair and testbed fault; partitions made with
    a key end with the view. The view needs Textual: pip install 'textual>=1.0'. The page of --web works without
    it, shows the same, and changes nothing.
    """
    if web:
        from testbed.cli.watch import web as page  # noqa: PLC0415  # not for the terminal

        with page.serving(Lab.attach(name)) as serving, suppress(KeyboardInterrupt):
            click.echo(f"watch   {serving.url}")
            serving.wait()
        return
    try:
        from testbed.cli.watch.app import Watch  # noqa: PLC0415  # Textual takes 0.2 s to import, and is an extra
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "textual":
            raise
        raise MachineError(
            "no-textual",
            "testbed watch needs Textual, which is not installed",
            "pip install 'textual>=1.0', or testbed watch LAB --web for a browser",
        ) from None
    if not sys.stdin.isatty():
        raise UsageError("no-terminal", "testbed watch needs a terminal", f"testbed events {name}, or --web")
    app = Watch(Lab.attach(name))
    try:
        app.run()
    finally:
        if not app.went_down:
            app.changes.heal()
    if app.went_down:
        click.echo(f"watch   {name} has gone down")
    elif app.failure is not None:
        raise app.failure


@click.command("events")
@click.argument("name", metavar="LAB")
@click.option("--follow", is_flag=True, help="Then show new events as they happen, until Ctrl-C.")
@json_output.as_json
def events_command(name: str, *, follow: bool, as_json: bool) -> None:
    """Show what has happened to LAB since it came up, by any command or by itself, one line each.

    \b
    impairments             the impairments of links have changed
    fault-begun, fault-done a fault of a node; fault-failed if it could not be done
    rebind                  a NAT has forgotten its mappings
    incident                something that makes a run untrusted
    node, link              a node's program ended or stands still; a link passes nothing any more
    run-begun, run-ended    a run, and workload-begun, workload-ended its workloads
    missed                  events are missing here, because only the latest 1000 are kept

    With --json each line is an object with time, kind and what, and node, links, begun where they apply.
    """  # noqa: D301  # \b is click's
    from testbed.cli.watch import texts  # noqa: PLC0415  # only for this command

    lab = Lab.attach(name)
    with lab.events(follow=follow) as events, suppress(KeyboardInterrupt):
        for event in events:
            if as_json:
                json_output.show_line(texts.event_object(event))
            else:
                click.echo(f"{texts.clock(event)}  {event.kind:<14}  {event.what}")
