"""A containerised multi-node network testbed whose links are provably as bad as requested."""

__version__ = "0.1.0"
