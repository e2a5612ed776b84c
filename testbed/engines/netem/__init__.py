"""The kernel engine: a link's impairments as netem and tbf on a device of the link's own."""
