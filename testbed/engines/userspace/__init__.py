"""The engine that impairs links in user space, for kernels without netem and for what netem can't do."""
