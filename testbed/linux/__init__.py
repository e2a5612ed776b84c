"""Linux features that Python 3.11 has no calls for: namespaces, VLAN tags of packet sockets, struct tcp_info."""
