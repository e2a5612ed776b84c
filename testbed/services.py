"""What makes a node more than a place for commands: how it is built, started and found ready.

The vocabulary that file, plan, runtimes and agent share. Its words are Docker Compose's (https://compose-spec.io).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from testbed import codec, units
from testbed.decisive import ADDED
from testbed.linux import capabilities

Condition = Literal["service_started", "service_healthy"]

CAPABILITIES = tuple(sorted(capabilities.NUMBERS))
"""Names without CAP_ (capabilities(7)); `ALL` is all of them."""

_ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
ULIMITS = tuple(_ULIMITS.split())
"""Names of resource limits, RLIMIT_... in lower case (getrlimit(2))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How an image is built.

    Attributes:
        context: directory of the build, relative to the topology's.
        dockerfile: relative to the context.
        args: names and values of build arguments.
        target: stage to build; the last one if empty.
    """

    OMIT_DEFAULTS: ClassVar = True

    context: str
    dockerfile: str = "Dockerfile"
    args: tuple[tuple[str, str], ...] = ()
    target: str = ""

    def __str__(self) -> str:
        parts = [self.context, *(f"{name}={value}" for name, value in self.args)]
        return " ".join(parts + [f"target {self.target}"] * bool(self.target))


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A file or directory of this machine that a node sees.

    Attributes:
        source: path on this machine, relative to the topology's directory.
        target: absolute path in the node.
        read_only: the node can't write to it.
    """

    OMIT_DEFAULTS: ClassVar = True

    source: str
    target: str
    read_only: bool = False

    def __str__(self) -> str:
        return f"{self.source}:{self.target}{':ro' * self.read_only}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tmpfs:
    """A file system in memory, empty at first.

    Attributes:
        target: absolute path in the node.
        options: of tmpfs(5) and mount(8), such as `size=64m`; without others also noexec, nosuid and nodev.
    """

    OMIT_DEFAULTS: ClassVar = True

    target: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ":".join((self.target, ",".join(self.options))).rstrip(":")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPort:
    """A port of a node that this machine publishes.

    Attributes:
        port: in the node.
        host_port: on this machine; 0 is any free one.
        host_address: of this machine, IPv4; empty is every address.
        protocol: `tcp` or `udp`.
    """

    OMIT_DEFAULTS: ClassVar = True

    port: int
    host_port: int = 0
    host_address: str = ""
    protocol: str = "tcp"

    def is_same(self, other: PublishedPort) -> bool:
        """Whether both are the same port of this machine, perhaps at different addresses."""
        return (self.host_port, self.protocol) == (other.host_port, other.protocol)

    def __str__(self) -> str:
        host = f"{self.host_address}:" * bool(self.host_address) + f"{self.host_port or 'any port'}"
        return f"{host} -> {self.port}/{self.protocol}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device of this machine that a node may use.

    Attributes:
        host: its path on this machine.
        container: its path in the node.
        permissions: any of `r` (read), `w` (write), `m` (mknod).
    """

    OMIT_DEFAULTS: ClassVar = True

    host: str
    container: str
    permissions: str = "rwm"

    def __str__(self) -> str:
        return f"{self.host}:{self.container}:{self.permissions}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """A resource limit of a node's processes, in the unit of getrlimit(2); -1 is none."""

    name: str
    soft: int
    hard: int

    def __str__(self) -> str:
        return f"{self.name} {self.soft}/{self.hard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A node that must have started, or be ready (`service_healthy`), before another one starts."""

    node: str
    condition: Condition

    def __str__(self) -> str:
        return self.node + " started" * (self.condition == "service_started")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The condition on which a node counts as up; exactly one of the first six attributes is given.

    Attributes:
        tcp: this TCP port accepts a connection.
        udp: a program has bound this UDP port, at all addresses or the node's first one; 0 is none.
        http: a GET of this path on `port` is answered with a status from 200 to 399.
        command: this command, run in the node, exits with status 0.
        log: a line of the node's output matches this regular expression.
        healthcheck: the image's HEALTHCHECK succeeds.
        port: of `http`.
        timeout_ns: how long to wait for the condition.
        interval_ns: time between two attempts.
    """

    tcp: int | None
    timeout_ns: int
    http: str = field(default="", metadata=ADDED)
    command: tuple[str, ...] = field(default=(), metadata=ADDED)
    log: str = field(default="", metadata=ADDED)
    healthcheck: bool = field(default=False, metadata=ADDED)
    port: int = field(default=80, metadata=ADDED)
    interval_ns: int = field(default=100_000_000, metadata=ADDED)
    udp: int = field(default=0, metadata={**ADDED, **codec.OMIT_DEFAULT})

    def __post_init__(self) -> None:
        """Refuse none or several conditions.

        Raises:
            ValueError: not exactly one is given.
        """
        if sum(map(bool, (self.tcp, self.udp, self.http, self.command, self.log, self.healthcheck))) != 1:
            raise ValueError("a node is ready on exactly one condition")

    def __str__(self) -> str:
        if self.http:
            return f"GET {self.http} on port {self.port} succeeds"
        if self.command:
            return f"{shlex.join(self.command)} succeeds"
        if self.log:
            return f"a line of its log matches {self.log}"
        if self.healthcheck:
            return "its image's HEALTHCHECK succeeds"
        if self.udp:
            return f"UDP port {self.udp} is bound"
        return f"TCP port {self.tcp} accepts a connection"

    @property
    def timeout(self) -> str:
        """The timeout, with its unit."""
        return units.DURATION.format(self.timeout_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a node is made and started, beside its image, command, environment, CPU time and memory.

    Paths are as the file gives them, so the digest covers paths, not the content of files.

    Attributes:
        build: how its image is built; None where it is not.
        entrypoint: replaces the image's; empty keeps that.
        user: user or `user:group`, by name or number; empty is the image's.
        working_dir: where commands start; empty is the image's, or the topology's directory.
        cap_add, cap_drop: capabilities beside Docker's default, or less; without CAP_.
        privileged: all capabilities and devices of the machine.
        cpuset: the CPUs that its processes may use, in the kernel's form `0-1,3`; empty is all.
        pids_limit: the most processes and threads that it may have at a time; 0 is unlimited.
        extra_hosts: names and addresses for /etc/hosts.
        dns: addresses of name servers.
        hostname: empty is the node's name.
        restart: `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`; empty is `no`.
        pull_policy: `always`, `missing` or `never`; empty is `missing`.
        platform: such as `linux/arm64`; empty is the machine's.
        shm_bytes: size of /dev/shm; 0 is Docker's default.
        stop_signal: name of the signal that ends the node's program before the lab is removed; empty is SIGKILL.
        labels: names and values.
        setup: commands that are run in the node once it has started, before it counts as ready.
        depends_on: nodes that come before it.
    """

    OMIT_DEFAULTS: ClassVar = True

    build: Build | None = None
    entrypoint: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    volumes: tuple[Volume, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    privileged: bool = False
    ulimits: tuple[Ulimit, ...] = ()
    cpuset: str = ""
    pids_limit: int = 0
    extra_hosts: tuple[tuple[str, str], ...] = ()
    dns: tuple[str, ...] = ()
    hostname: str = ""
    restart: str = ""
    pull_policy: str = ""
    platform: str = ""
    shm_bytes: int = 0
    stop_signal: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    setup: tuple[tuple[str, ...], ...] = ()
    depends_on: tuple[Dependency, ...] = ()

    def described(self) -> Iterator[tuple[str, str]]:
        """Yield what the file gives, for people: the key and its value in short."""
        for member in fields(self):
            value = getattr(self, member.name)
            if value == member.default:
                continue
            key, text = member.name, str(value)
            if key == "shm_bytes":
                key, text = "shm_size", units.SIZE.format(value)
            elif key == "setup":
                text = "; ".join(map(shlex.join, value))
            elif key == "entrypoint":
                text = shlex.join(value)
            elif isinstance(value, tuple):
                text = ", ".join("=".join(each) if isinstance(each, tuple) else str(each) for each in value)
            yield key, text

    @property
    def is_confined(self) -> bool:
        """Whether it may not use all CPUs, or have as many processes as there can be."""
        return bool(self.cpuset or self.pids_limit)

    @property
    def restarts(self) -> bool:
        """Whether a program that ends is started again."""
        return self.restart not in ("", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeProject:
    """Compose files, and how Docker Compose is to read them.

    Attributes:
        name: of the project.
        files: absolute paths; later ones override earlier ones, and paths in them are relative to the first one's
            directory.
        profiles: those that are enabled.
        env_file: absolute path of the file of variables; empty is the `.env` beside the first file.
    """

    name: str
    files: tuple[str, ...]
    profiles: tuple[str, ...] = ()
    env_file: str = ""
