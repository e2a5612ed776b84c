"""The live view of a lab on a terminal; this module and `lists` alone import Textual."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding
from textual.message import Message
from textual.widgets import Footer, Input, RichLog, Static

from testbed.cli.watch import texts
from testbed.cli.watch.changes import Changes
from testbed.cli.watch.lists import List
from testbed.errors import TestbedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from textual.app import ComposeResult
    from textual.events import Resize

    from testbed.cli.watch.texts import LinkRow
    from testbed.lab import Lab, LabEvent, LinkState, NodeState, Snapshot

_INTERVAL_S = 1.0
_WIDE = 110
"""Columns of a terminal from which the table of links has all it can have."""

_NARROW_COLUMNS = {"link": 17, "requested": 14, "rate": 12, "drops": 6, "queue": 8, "last minute": 8}
_WIDE_COLUMNS = {"link": 24, "requested": 30, "rate": 12, "drops": 8, "queue": 9, "late": 9, "last minute": 12}
_SORTS: dict[str, Callable[[LinkState], object]] = {
    "file": lambda _: 0,
    "rate": lambda link: -(link.out_bps or 0),
    "drops": lambda link: (-(link.dropped_per_s or 0), -link.drops),
    "queue": lambda link: -(link.counts.queued_bytes or link.counts.in_flight or 0),
    "lateness": lambda link: -(link.counts.lateness_p99_ns or 0),
    "name": lambda link: link.name,
}


class NewSnapshot(Message):
    """The state of the lab has been read."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot


class NewEvent(Message):
    """Something has happened to the lab."""

    def __init__(self, event: LabEvent) -> None:
        super().__init__()
        self.event = event


class KeyOutcome(Message):
    """The outcome of a key."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class WentDown(Message):
    """The lab goes down."""


class WatchFailed(Message):
    """The lab can't be watched any more."""

    def __init__(self, error: TestbedError) -> None:
        super().__init__()
        self.error = error


class Watch(App[None]):
    """Nodes, links, flows and events of a lab, once a second, and keys that change it.

    Attributes:
        failure: why it could not go on; None if the user ended it.
        went_down: the lab was taken down.
        changes: what the keys change in the lab.
    """

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    #summary, #flows { height: auto; max-height: 5; }
    #nodes { height: auto; max-height: 6; }
    #links { height: 1fr; min-height: 5; }
    #link, #said { height: auto; max-height: 3; color: $text-muted; }
    #events { height: 6; border-top: solid $primary; overflow-x: hidden; }
    #prompt { display: none; border: none; height: 1; padding: 0; }
    """
    BINDINGS: ClassVar = [
        Binding("i", "ask('impair')", "impair"),
        Binding("p", "ask('partition')", "partition"),
        Binding("h", "heal", "heal"),
        Binding("space", "pause", "pause node"),
        Binding("s", "sort", "sort"),
        Binding("slash", "ask('filter')", "filter"),
        Binding("escape", "close_prompt", show=False),
        Binding("q", "quit", "quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, lab: Lab) -> None:
        super().__init__()
        self.failure: TestbedError | None = None
        self.went_down = False
        self._lab = lab
        self._ended = threading.Event()
        self._stream = lab.events(follow=True)
        self.changes = Changes(lab, self._ended)
        self._history, self._activity = texts.History(), texts.Activity()
        self._snapshot: Snapshot | None = None
        self._link_rows: dict[str, LinkRow] = {}
        self._link_columns: dict[str, int] = {}
        self._purpose, self._wanted, self._sorted_by = "", "", next(iter(_SORTS))

    def compose(self) -> ComposeResult:
        """See Textual: the parts of the screen from top to bottom."""
        yield Static(id="summary", markup=False)
        yield List(id="nodes")
        yield List(id="links")
        yield Static(id="link", markup=False)
        yield Static(id="flows", markup=False)
        log = RichLog(id="events", max_lines=200, markup=False, highlight=False)
        log.can_focus = False
        yield log
        yield Static(id="said", markup=False)
        yield Input(id="prompt")
        yield Footer()

    def on_mount(self) -> None:
        """See Textual: begin to look and to listen."""
        self._node_table.set_columns({"node": 24, "state": 44})
        self._link_table.focus()
        self.run_worker(self._look_at_lab, thread=True)
        self.run_worker(self._listen, thread=True)

    def on_unmount(self) -> None:
        """See Textual: end the threads."""
        self._ended.set()
        self._stream.close()

    @property
    def _node_table(self) -> List:
        return self.query_one("#nodes", List)

    @property
    def _link_table(self) -> List:
        return self.query_one("#links", List)

    def _look_at_lab(self) -> None:
        """Look at the lab again and again, in a thread."""
        before: Snapshot | None = None
        while not self._ended.is_set():
            try:
                before = self._lab.snapshot(before)
            except TestbedError as error:
                self._tell(WatchFailed(error))
                return
            self._tell(NewSnapshot(before))
            self._ended.wait(_INTERVAL_S)

    def _listen(self) -> None:
        """Report events, in a thread, until the lab goes down. If its agent dies, `_look_at_lab` finds that out."""
        with suppress(TestbedError):
            for event in self._stream:
                self._tell(NewEvent(event))
            if not self._ended.is_set():
                self._tell(WentDown())

    def _tell(self, message: Message) -> None:
        with suppress(RuntimeError):  # the view has ended meanwhile
            self.post_message(message)

    def on_new_snapshot(self, message: NewSnapshot) -> None:
        """Show the lab as it is now."""
        self._snapshot = message.snapshot
        self._link_rows = {str(key): row for key, row in self._history.rows(message.snapshot).items()}
        self._show_lab()

    def on_new_event(self, message: NewEvent) -> None:
        """Show an event."""
        event = message.event
        self._activity.note(event)
        self.query_one("#events", RichLog).write(f"{texts.clock(event)} {event.kind}  {event.what}")

    def on_key_outcome(self, message: KeyOutcome) -> None:
        """Show the outcome of a key."""
        self.query_one("#said", Static).update(message.text)

    def on_went_down(self) -> None:
        """End, because the lab has been taken down."""
        self.went_down = True
        self.exit()

    def on_failed(self, message: WatchFailed) -> None:
        """End: there is no lab any more."""
        self.failure = message.error
        self.exit()

    def on_resize(self, event: Resize) -> None:
        """Show what the width has room for."""
        columns = _WIDE_COLUMNS if event.size.width >= _WIDE else _NARROW_COLUMNS
        if columns is not self._link_columns:
            self._link_columns = columns
            self._link_table.set_columns(columns)
        self._show_lab()

    def on_data_table_row_highlighted(self) -> None:
        """Show the details of the selected link."""
        self._show_link()

    def _show_lab(self) -> None:
        if self._snapshot is None:
            return
        now = self._snapshot
        nodes, links = texts.selected(now, self._wanted)
        nodes.sort(key=lambda node: node.state == "running")  # what is wrong comes first
        links.sort(key=_SORTS[self._sorted_by])  # type: ignore[arg-type]  # the values of one are comparable
        number = f"{len(links)} of {len(now.links)}" if self._wanted else f"{len(now.links)}"
        head = f"{now.lab}  {texts.nodes_line(now)}  {number} links by {self._sorted_by}  {self._wanted}"
        self.query_one("#summary", Static).update("\n".join([head, *now.problems]))
        self._node_table.fill({node.name: (node.name, _state(node)) for node in nodes})
        self._link_table.fill({str(link.key): self._cells(self._link_rows[str(link.key)]) for link in links})
        flows = self._activity.flows(self._link_rows.values(), self._link_columns["last minute"])
        self.query_one("#flows", Static).update("\n".join(f"flow  {line}" for line in flows))
        self._show_link()

    def _show_link(self) -> None:
        row = self._link_rows.get(self._link_table.chosen)
        if row is None:
            self.query_one("#link", Static).update("")
            return
        now = f"{row.arriving} in, {row.rate} out, {row.dropping} dropped, {row.late} late"
        self.query_one("#link", Static).update(f"{row.name} on {row.network} ({row.engine}): {row.requested}\n{now}")

    def _cells(self, row: LinkRow) -> Sequence[str]:
        cells = {
            "link": row.name,
            "requested": row.requested,
            "rate": row.rate,
            "drops": row.drops,
            "queue": row.queued,
            "late": row.late,
            "last minute": row.sparkline(self._link_columns["last minute"]),
        }
        return [cells[name] for name in self._link_columns]

    def action_ask(self, purpose: str) -> None:
        """Open the prompt for the text that a key needs."""
        link = self._chosen_link()
        prompts = {
            "impair": ("", f"loss=10% delay=80ms for {link.name if link else 'a link'}"),
            "partition": (f"{link.key.source} | {link.key.destination}" if link else "", "a b | c: groups of nodes"),
            "filter": (self._wanted, "part of the links to show: client -> , loss, lan"),
        }
        prompt = self.query_one("#prompt", Input)
        self._purpose = purpose
        prompt.value, prompt.placeholder = prompts[purpose]
        prompt.cursor_position = len(prompt.value)
        prompt.display = True
        self.screen.set_focus(prompt)

    def action_close_prompt(self) -> None:
        """Close the prompt."""
        self.query_one("#prompt", Input).display = False
        self._link_table.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Do what the text in the prompt says."""
        self.action_close_prompt()
        text, link = message.value.strip(), self._chosen_link()
        if self._purpose == "filter":
            self._wanted = text
            self._show_lab()
        elif self._purpose == "impair" and text and link:
            self._change(lambda: self.changes.impair(link, text))
        elif self._purpose == "partition" and text:
            self._change(lambda: self.changes.partition(text))

    def action_sort(self) -> None:
        """Sort the links by the next property."""
        names = list(_SORTS)
        self._sorted_by = names[(names.index(self._sorted_by) + 1) % len(names)]
        self._show_lab()

    def action_heal(self) -> None:
        """End the partitions that were made here."""
        self._change(self.changes.heal)

    def action_pause(self) -> None:
        """Pause the selected node, or let it run again."""
        nodes = self._snapshot.nodes if self._snapshot else ()
        if node := next((node for node in nodes if node.name == self._node_table.chosen), None):
            self._change(lambda: self.changes.pause(node))

    def _chosen_link(self) -> LinkState | None:
        chosen = self._link_table.chosen
        links = self._snapshot.links if self._snapshot else ()
        return next((link for link in links if str(link.key) == chosen), None)

    def _change(self, change: Callable[[], str]) -> None:
        """Change the lab, in a thread: what it says, or its error, is shown."""

        def work() -> None:
            if (said := self.changes.carry_out(change)) is not None:
                self._tell(KeyOutcome(said))

        self.run_worker(work, thread=True)


def _state(node: NodeState) -> str:
    return f"{node.state} by a fault" if node.by_fault else node.state
