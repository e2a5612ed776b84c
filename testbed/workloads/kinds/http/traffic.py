"""http: requests to a web server of the destination, by HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113).

| event | contents |
|---|---|
| `connections` | also `secured_ns` with TLS: when its handshake was done |
| `sent` | when each request was begun; with `connect: each` that is when its connection was |
| `received` | when the last byte of each response with 2xx arrived; with `seq`, since parallel requests have no order |
| `responses` | of each whole response: `seq`, `status`, `first_byte_ns`, `received_ns`, `bytes` of the body |
| `failed` | of requests without a whole response: `seq`, and why, `code` and `message` |
| `bytes` | received bytes of bodies per time |
| `end` | `sent_bytes` of bodies, `retransmits` of this end, `server`, `protocol`, `tls`, `certificate` (its SHA-256) |
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from testbed.workloads.kinds.http.client import HttpClient

if TYPE_CHECKING:
    from testbed.endpoint.owner import Owner
    from testbed.endpoint.spec import Spec


def client(spec: Spec, owner: Owner) -> None:
    """Send the request `count` times or for `duration_ns`, with `concurrency` requests at a time."""
    asyncio.run(HttpClient(spec, owner).run())
