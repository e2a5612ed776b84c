"""The only privileged process of a lab: namespaces, ports, links, processes in nodes. See ARCHITECTURE.md."""
