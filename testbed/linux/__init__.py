"""What Linux offers and Python has no call for: namespaces, VLAN tags of packet sockets, struct tcp_info."""
