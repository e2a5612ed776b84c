"""A node of a small replicated store, in memory: python3 node.py NAME PEER MONITOR.

One of two nodes is the primary: it answers clients, and acknowledges a write once the backup has it. A backup that
does not answer for `DROPPED_S` is dropped: the primary tells the monitor, and then acknowledges alone, until it has
sent the backup all that it has. Who is the primary is the monitor's decision (monitor.py). A primary answers only while
it has the monitor's lease.

All speak UDP, a JSON object per datagram. What is lost is sent again.
"""

from __future__ import annotations

import json
import secrets
import socket
import sys
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

PORT, MONITORS = 7000, 7001
RENEW_S, LEASE_S, DROPPED_S, AGAIN_S, SYNC_S = 0.05, 0.4, 0.3, 0.1, 0.5

Address = tuple[str, int]
Message = dict[str, Any]


@dataclass
class Write:
    """A write that is not acknowledged yet."""

    message: Message
    client: Address
    since: float
    sent: float
    dropping: bool = False


@dataclass
class Node:
    """One node: its data, and what it knows of the others."""

    name: str
    peer: str
    monitor: Address
    sock: socket.socket
    boot: str = field(default_factory=lambda: secrets.token_hex(4))
    epoch: int = 0
    primary: bool = False
    lease: float = 0
    peer_synced: bool = True
    data: dict[str, tuple[int, int]] = field(default_factory=dict)  # value, and number of the request that wrote it
    version: int = 0
    write: Write | None = None
    renewed: float = 0
    synced: float = 0

    def send(self, to: Address, **message: Any) -> None:
        """Send a message; what can't be sent now is as good as lost."""
        try:
            self.sock.sendto(json.dumps(message).encode(), to)
        except OSError:  # no route: this node or the other one is off
            return

    def send_peer(self, **message: Any) -> None:
        """Send to the other node, which has no address while it is off."""
        try:
            peer = socket.gethostbyname(self.peer)
        except OSError:
            return
        self.send((peer, PORT), epoch=self.epoch, **message)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now - self.renewed >= RENEW_S:
            self.renewed = now
            self.send(self.monitor, kind="renew", name=self.name, boot=self.boot, sent=now)
        if not self.primary:
            return
        if (write := self.write) and now - write.sent >= AGAIN_S:
            write.sent = now
            if now - write.since >= DROPPED_S:
                write.dropping = True
                self.send(self.monitor, kind="drop", name=self.peer, epoch=self.epoch)
            else:
                self.replicate(write)
        if not self.peer_synced and now - self.synced >= SYNC_S:
            self.synced = now
            self.send_peer(kind="sync", data=self.data, version=self.version)

    def replicate(self, write: Write) -> None:
        """Send the backup a write."""
        message = write.message
        self.send_peer(kind="replicate", key=message["key"], stored=stored(message), version=self.version + 1)

    def commit(self, now: float) -> None:
        """Make the write that is under way part of the data, and acknowledge it, if the lease lasts."""
        if self.write is None or now > self.lease:
            return
        message, client = self.write.message, self.write.client
        self.data[message["key"]] = stored(message)
        self.version += 1
        self.write = None
        self.send(client, kind="done", id=message["id"])

    def take(self, message: Message, sender: Address, now: float) -> None:
        """Act on a message."""
        kind = message["kind"]
        if kind == "lease":
            self.take_lease(message)
        elif kind in {"read", "write"}:
            self.take_request(message, sender, now)
        elif message["epoch"] != self.epoch:
            return  # of a time when another one was the primary
        elif self.primary:
            self.take_as_primary(message, now)
        else:
            self.take_as_backup(message)

    def take_lease(self, message: Message) -> None:
        """Take the monitor's word for who is the primary; the lease counts from when it was requested."""
        if message["boot"] != self.boot or message["epoch"] < self.epoch:
            return
        if message["epoch"] > self.epoch:
            self.epoch, self.write = message["epoch"], None
            self.primary, self.peer_synced = message["primary"] == self.name, message["synced"]
            if not self.primary and not self.peer_synced:
                self.version = -1  # whatever the new primary has counts
        self.lease = max(self.lease, message["sent"] + LEASE_S)

    def take_request(self, message: Message, client: Address, now: float) -> None:
        """Answer a client, or refuse."""
        number = message["id"]
        value, written_by = self.data.get(message.get("key", ""), (0, 0))
        if not self.primary or now > self.lease:
            self.send(client, kind="refused", id=number)
        elif message["kind"] == "read":
            self.send(client, kind="value", id=number, value=value)
        elif number <= written_by:
            self.send(client, kind="done", id=number)
        elif self.write is None:
            self.write = Write(message, client, now, now)
            if self.peer_synced:
                self.replicate(self.write)
            else:
                self.commit(now)

    def take_as_primary(self, message: Message, now: float) -> None:
        """Take the backup's answers, and the monitor's to a drop."""
        kind = message["kind"]
        if kind == "replicated" and self.write and message["id"] == self.write.message["id"]:
            self.commit(now)
        elif kind == "dropped" and self.write and self.write.dropping:
            self.peer_synced = False
            self.commit(now)
        elif kind == "synced" and message["version"] == self.version and not self.peer_synced:
            self.peer_synced = True
            self.send(self.monitor, kind="synced", name=self.peer, epoch=self.epoch)

    def take_as_backup(self, message: Message) -> None:
        """Take a write, or all that the primary has."""
        kind = message["kind"]
        if kind == "replicate":
            key, (value, number) = message["key"], message["stored"]
            if message["version"] == self.version + 1:
                self.data[key] = value, number
                self.version += 1
            if message["version"] == self.version and self.data.get(key) == (value, number):
                self.send_peer(kind="replicated", id=number)
        elif kind == "sync":
            if message["version"] >= self.version:
                self.data = {key: (value, number) for key, (value, number) in message["data"].items()}
                self.version = message["version"]
            self.send_peer(kind="synced", version=self.version)


def stored(message: Message) -> tuple[int, int]:
    """Return what is stored for a write: its value and its number."""
    return message["value"], message["id"]


def main(name: str, peer: str, monitor: str) -> None:
    """Serve until killed."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("0.0.0.0", PORT))
        sock.settimeout(RENEW_S / 2)
        node = Node(name, peer, (socket.gethostbyname(monitor), MONITORS), sock)
        while True:
            try:
                data, sender = sock.recvfrom(65536)
            except OSError:
                data = b""
            now = monotonic()
            if data:
                node.take(json.loads(data), sender, now)
            node.tick(now)


main(*sys.argv[1:])
