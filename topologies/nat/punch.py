"""Punches a hole: python3 punch.py NAME PEER. Prints a JSON object that says whether the peer was reached.

Both peers ask the rendezvous server for the other one's address and port, and then send to it every 0.1 s. What one of
them sends opens its own NAT for what the other one sends.
"""

import json
import socket
import sys
import time

INTERVAL, ASKING, PUNCHING = 0.1, 20.0, 4.0  # seconds
name, peer = sys.argv[1:]

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    server = socket.gethostbyname("rendezvous"), 9000
    sock.settimeout(INTERVAL)

    def ask() -> tuple[str, int]:
        """Return where the peer is, as the server sees it."""
        until = time.monotonic() + ASKING
        while time.monotonic() < until:
            sock.sendto(json.dumps({"name": name, "peer": peer}).encode(), server)
            try:
                data, sender = sock.recvfrom(1500)
            except TimeoutError:
                continue
            if sender == server:
                return tuple(json.loads(data))
            time.sleep(INTERVAL)
        sys.exit("the rendezvous server does not tell where the peer is")

    target, heard, answered = ask(), None, False
    end = time.monotonic() + PUNCHING
    while time.monotonic() < end:
        sock.sendto(b"heard" if heard else b"hello", heard or target)
        try:
            data, sender = sock.recvfrom(1500)
        except TimeoutError:
            continue
        if sender != server:
            heard, answered = sender, answered or data == b"heard"
            time.sleep(INTERVAL)
print(json.dumps({"reached": int(answered), "predicted": int(heard == target)}))
