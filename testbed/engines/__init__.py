"""Engines carry out what a link does to packets: `netem` in the kernel, `userspace` in processes of ours."""
