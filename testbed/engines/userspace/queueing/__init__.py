"""The bottleneck of a link: a queue with its discipline, and the transmitter that empties it."""
