"""The only privileged process of a lab: namespaces, ports, shapes, processes in nodes. See ARCHITECTURE.md."""
