"""Packets captured at a node's interface, into a pcap file of limited size."""

SNAP_BYTES = 256
"""What is kept of a packet unless asked for otherwise: all headers, and the beginning of what it carries."""

SIZE_BYTES = 64 * 10**6
"""What the packets of one port may take unless asked for otherwise; the newest are kept."""
