"""Traffic between the nodes of a lab, and what is measured of it.

`running.run` carries out one workload; `summarising.summarise` computes the same summary again from a record that was
kept. What a kind of workload is made of lies in a package of `testbed.workloads.kinds`. Endpoint processes import those
packages, and this one with them, so that nothing is imported here.
"""
