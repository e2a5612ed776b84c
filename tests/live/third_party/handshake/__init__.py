"""A kind of workload that is not the testbed's own: TCP connections, set up and closed."""
