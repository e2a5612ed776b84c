import socket
import time

from testbed.linux import arrival

ATTEMPTS = 20
"""The kernel begins to take the times of arrival some time after it is asked to."""


def test_the_arrival_in_the_kernel_is_found_however_late_it_is_read():
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        assert arrival.read_lag(receiver) == 0  # and enables timestamps
        for _ in range(ATTEMPTS):
            before = time.monotonic_ns()
            sender.sendto(b"x", receiver.getsockname())
            after = time.monotonic_ns()
            time.sleep(0.2)
            receiver.recv(1)
            arrived = arrival.arrival_ns(receiver)
            if arrived <= (after + time.monotonic_ns()) // 2:
                break
        coarse_ns = 1_000_000  # the two clocks are read one after the other
        assert before - coarse_ns <= arrived <= (after + time.monotonic_ns()) // 2
