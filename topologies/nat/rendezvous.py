"""Tells each of two peers from which address and port the other one's datagrams come: UDP, port 9000.

A datagram is a JSON object, {"name": ..., "peer": ...}; the answer, once both are known, is [address, port].
"""

import json
import socket

known = {}
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 9000))
    while True:
        data, sender = server.recvfrom(1500)
        asked = json.loads(data)
        known[asked["name"], asked["peer"]] = sender
        if (peer := known.get((asked["peer"], asked["name"]))) is not None:
            server.sendto(json.dumps(peer).encode(), sender)
