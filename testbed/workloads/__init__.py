"""Run traffic between the nodes of a lab, and summarise what was measured.

`running.run` carries out one workload; `summarising.summarise` computes the same summary again from a stored
record. Each kind of workload is a package of `testbed.workloads.kinds`. Endpoint processes import those packages, and
this one with them, so it imports nothing.
"""
