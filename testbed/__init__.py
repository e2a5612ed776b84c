"""A containerised multi-node network testbed whose links are provably as bad as asked."""

__version__ = "0.1.0"
