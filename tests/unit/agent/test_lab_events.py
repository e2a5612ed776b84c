"""What clients that follow a lab get: what was before, what comes, what they miss; and what runs announce."""

import asyncio
import socket

from testbed import codec
from testbed.agent import client_connection, protocol
from testbed.agent.connection import ServerConnection
from testbed.agent.lab_events import Events
from testbed.agent.messages import AnnounceRun, Follow, LabEvent, RunNote, Tell
from testbed.impairments import Impairments
from testbed.matching import LinkKey


def with_client(serve, listen):
    """Serve one end of a connection while `listen` reads the other in a thread; return what it returns."""

    async def main():
        ours, theirs = socket.socketpair()
        agents, clients = ServerConnection(ours), client_connection.ClientConnection(theirs)

        async def call():
            await serve(agents)
            await agents.send_result(None)

        try:
            _, heard = await asyncio.gather(call(), asyncio.to_thread(listen, clients))
            return heard
        finally:
            agents.close()
            clients.close()

    return asyncio.run(main())


def begun():
    events = Events()
    events.begun = True
    return events


def told(events, call):
    return with_client(
        lambda connection: events.tell(connection, call), lambda client: list(client.events(call, LabEvent))
    )


def test_nothing_counts_before_the_lab_is_up():
    events = Events()
    events.note("incident", "early")
    events.note_links({LinkKey("a", "b", "lan"): Impairments(delay_ns=1)})
    assert told(events, Follow(past=True, lasting=False)) == []


def test_the_past_ends_with_its_last_event():
    events = begun()
    events.note("incident", "one")
    events.note("fault-done", "b: pause", node="b", times_ns=(5, 9))
    one, two = told(events, Follow(past=True, lasting=False))
    assert (one.number, one.kind, one.what) == (1, "incident", "one")
    assert (two.number, two.node, two.begun_ns, two.at_ns) == (2, "b", 5, 9)
    assert two.unix_ns < one.unix_ns  # by the wall clock it is of when it was done, too
    assert told(events, Follow(past=False, lasting=False)) == []


def test_links_that_change_alike_are_one_event():
    events = begun()
    keys = [LinkKey("a", f"b-{number}", "lan") for number in range(150)]
    events.note_links({**dict.fromkeys(keys, Impairments(delay_ns=1_000_000)), LinkKey("c", "a", "lan"): Impairments()})
    many, one = told(events, Follow(past=True, lasting=False))
    assert many.what == "a -> b-0 and 149 more: delay 1 ms"
    assert many.links == tuple(f"a -> b-{number}" for number in range(100))
    assert (one.what, one.links) == ("c -> a: clear", ("c -> a",))


def test_a_client_that_comes_too_late_gets_the_number_of_missed_events():
    events = begun()
    for number in range(1500):
        events.note("incident", f"{number}")
    missed, *others = told(events, Follow(past=True, lasting=False))
    assert (missed.kind, missed.number, missed.what) == ("missed", 500, "500 earlier events are not kept any more")
    assert [int(event.what) for event in others] == list(range(500, 1500))


def test_a_client_that_follows_gets_each_event_once_until_it_says_so_or_the_lab_goes_down():
    def ended_by(end):
        events, call = begun(), Follow(past=True, lasting=True)
        events.note("incident", "before")

        async def serve(connection):
            async def happen():
                for number in range(5):
                    await asyncio.sleep(0.01)
                    events.note("incident", f"{number}")
                if end == "lab":
                    events.close()

            await asyncio.gather(events.tell(connection, call), happen())

        def listen(client):
            heard = []
            for event in client.events(call, LabEvent):
                heard.append(event.what)
                if end == "client" and len(heard) == 6:
                    client.tell(Tell())
            return heard

        return with_client(serve, listen)

    assert ended_by("client") == ended_by("lab") == ["before", "0", "1", "2", "3", "4"]


def test_a_run_whose_command_dies_has_ended_too():
    def after(*said):
        events = begun()

        def listen(client):
            for note in said:
                client.send(protocol.Message(tell=codec.encode(note)))
            client.interrupt()

        with_client(lambda connection: events.attend(connection, AnnounceRun(what="run x")), listen)
        return [(event.kind, event.what) for event in told(events, Follow(past=True, lasting=False))]

    workload = RunNote(kind="workload-begun", what="download")
    assert after(workload) == [
        ("run-begun", "run x"),
        ("workload-begun", "download"),
        ("run-ended", "run x: its command ended before"),
    ]
    assert after(RunNote(kind="run-ended", what="run x: done"))[1:] == [("run-ended", "run x: done")]


def test_what_ends_by_itself_is_noted_once():
    events = begun()
    looks = iter([({"a": "running"}, {}), ({"a": "exited 1", "late": "running"}, {"a -> b": "killed"})])
    last = ({"a": "exited 1"}, {"a -> b": "killed"})

    async def main():
        enough, rest = asyncio.Event(), iter([last, last])

        def look():
            found = next(looks, None) or next(rest, None)
            if found is None:
                enough.set()
            return found or last

        looking = asyncio.create_task(events.look(look))
        await enough.wait()
        looking.cancel()

    asyncio.run(main())
    assert [(event.kind, event.what) for event in told(events, Follow(past=True, lasting=False))] == [
        ("node", "a: exited 1, was running"),
        ("link", "a -> b passes nothing any more: killed"),
    ]
