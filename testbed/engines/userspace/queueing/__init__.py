"""The bottleneck: a queue, what it drops, and the transmitter that empties it."""
