"""The small program that sends or receives a workload's traffic inside a node's network namespace.

`python -m testbed.endpoint SPEC` does what `SPEC`, one JSON object (see `testbed.endpoint.spec`), says, and reports in
JSON lines on its standard output. Each line has an `event`; every list in it is a column of integers coded by
`testbed.endpoint.columns`; every time is in nanoseconds of CLOCK_MONOTONIC, which all nodes of a machine share, so that
the difference of two times taken in two nodes is a real delay. A client waits for one line on its standard input,
`{"start_ns": N}`, and begins at that time. Closing its standard input stops an endpoint.

| event | from | what |
|---|---|---|
| `listening` | server | the socket is bound |
| `ready` | client | all is prepared, and no packet sent; it waits for the line with the start time |
| `started` | client | `at_ns`: when it began |
| `accepted` | tcp-stream server | `at_ns` |
| `connections` | TCP client | per connection: `begun_ns`, `connected_ns`, with TLS also `secured_ns` |
| `congestion` | TCP client | `name`: the congestion control in use, from the kernel |
| `sent` | client of messages | `sent_ns` of the messages `first`, `first` + 1, ...; in order |
| `received` | the receiving end | `seq` and `received_ns` per arrival, in order of arrival, duplicates too |
| `bytes` | tcp-stream server | `bytes` per `bucket_ns`, the first bucket beginning at `start_ns` |
| `tcp-info` | TCP client with one connection | samples of its state at `at_ns`, see `testbed.linux.tcp_info` |
| `quic-info` | quic client | samples of the sender's state, see `testbed.workloads.kinds.quic.log` |
| `progress` | client | `fraction` done, at least once a second |
| `error` | both | `code`, `message`, `hint`; the exit status is then not 0 |
| `end` | both | the last line of an endpoint that did its work, with its totals |
"""
