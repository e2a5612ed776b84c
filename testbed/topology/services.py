"""The keys of a node that is a service: how it is built, what it sees of this machine, when it is ready."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from testbed import services, units
from testbed.topology.base import EmptyIsDefault, Model, Short, key
from testbed.topology.problems import quote
from testbed.topology.service_values import (
    ArgumentEntry,
    Capability,
    DeviceText,
    EnvFile,
    HostEntry,
    HostName,
    Ip,
    LabelEntry,
    LabelName,
    LogPattern,
    NodePath,
    OneOrMany,
    OnlyTrue,
    OwnHostName,
    Platform,
    PortText,
    RestartPolicy,
    Signal,
    TmpfsText,
    UlimitName,
    UlimitValue,
    User,
    VolumeText,
    directory_of,
    located,
)
from testbed.topology.values import (
    Command,
    Count,
    CpuSet,
    Flag,
    Name,
    Port,
    RequestPath,
    SomeDuration,
    SomeSize,
    Text,
    Variable,
)


def form_tag(value: object) -> str:
    """Which member of a union a value is for: a list, or a mapping."""
    return "<list>" if isinstance(value, list | tuple) else "<mapping>"


_TEXT = {"type": "string"}

Arguments = Annotated[
    Annotated[tuple[ArgumentEntry, ...], Tag("<list>")] | Annotated[Mapping[Variable, Text], Tag("<mapping>")],
    Discriminator(form_tag),
]
Labels = Annotated[
    Annotated[tuple[LabelEntry, ...], Tag("<list>")] | Annotated[Mapping[LabelName, Text], Tag("<mapping>")],
    Discriminator(form_tag),
]
Hosts = Annotated[
    Annotated[tuple[HostEntry, ...], Tag("<list>")] | Annotated[Mapping[HostName, Ip], Tag("<mapping>")],
    Discriminator(form_tag),
]


class BuildKeys(Model):
    """How an image is built."""

    context: Text = key("Directory of the build, relative to the file's", example="./server")
    dockerfile: Text = key("The Dockerfile, relative to the context", default="Dockerfile")
    args: Arguments = key("Build arguments", default={})
    target: Text = key("Stage to build; the last one unless given", default="")

    @model_validator(mode="after")
    def _is_there(self, info: ValidationInfo[Any]) -> Self:
        context = located(directory_of(info), self.context)
        for path, is_there, what in (
            (context, context.is_dir(), "directory"),
            (context / self.dockerfile, (context / self.dockerfile).is_file(), "file"),
        ):
            if not is_there:
                said = f"names {quote(str(path))}, which is no {what}"
                hint = "give a directory of this machine that has a Dockerfile"
                raise PydanticCustomError("no-such-file", "{said}", {"said": said, "hint": hint})
        return self

    @property
    def resolved(self) -> services.Build:
        """The build, as it is in a plan."""
        return services.Build(
            context=self.context, dockerfile=self.dockerfile, args=_pairs(self.args), target=self.target
        )


class ReadyKeys(Model):
    """When a node counts as up: on one of the first six."""

    tcp: Port | None = key("TCP port that must accept a connection", default=None, example=5432)
    udp: Port | None = key(
        "UDP port that a program must have bound, at all addresses or the node's first one", default=None, example=53
    )
    http: RequestPath | None = key("Path for which `port` must answer with a status from 200 to 399", default=None)
    command: Command = key("Command that must exit with status 0 in the node", default=())
    log: LogPattern | None = key("Regular expression that a line of its output must match", default=None)
    healthcheck: OnlyTrue | None = key("`true`: the image's own HEALTHCHECK must succeed", default=None)
    port: Port = key("TCP port of `http`", default=80)
    timeout_ns: SomeDuration = key(
        "How long to wait for that", alias="timeout", default=units.DURATION.parse("10s"), written="10s"
    )
    interval_ns: SomeDuration = key(
        "Time between two attempts", alias="interval", default=units.DURATION.parse("100ms"), written="100ms"
    )

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        ways = ("tcp", "udp", "http", "command", "log", "healthcheck")
        given = [name for name in ways if getattr(self, name)]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else f"has none of {', '.join(ways)}"
            code = "several-conditions" if given else "missing-key"
            raise PydanticCustomError(code, "{said}", {"said": said, "hint": "say one way to tell that it is ready"})
        if "port" in self.model_fields_set and not self.http:
            hint = "leave it out, or write http: /"
            raise PydanticCustomError("contradiction", "{said}", {"said": "has port, which is http's", "hint": hint})
        return self

    @property
    def resolved(self) -> services.Ready:
        """The condition, as it is in a plan."""
        return services.Ready(
            tcp=self.tcp,
            udp=self.udp or 0,
            http=self.http or "",
            command=self.command,
            log=self.log or "",
            healthcheck=bool(self.healthcheck),
            port=self.port,
            timeout_ns=self.timeout_ns,
            interval_ns=self.interval_ns,
        )


class DependencyKeys(Model):
    """On what of another node a node depends."""

    condition: Literal["service_started", "service_healthy", "service_completed_successfully"] = key(
        "`service_started`, or `service_healthy`: its `ready` is met", default="service_started"
    )


Dependencies = Annotated[
    Annotated[tuple[Name, ...], Tag("<list>")]
    | Annotated[Mapping[Name, Annotated[DependencyKeys, EmptyIsDefault()]], Tag("<mapping>")],
    Discriminator(form_tag),
]


class ServiceKeys(Model):
    """The keys of a node that say how it is made and started; the words are Docker Compose's."""

    build: Annotated[BuildKeys, Short("context", {"type": "string"})] | None = key(
        "Directory with the Dockerfile of its image, or a mapping", default=None, example="./server"
    )
    entrypoint: Annotated[Command, Field(min_length=1)] | None = key(
        "What runs `command`, in place of the image's own", default=None
    )
    user: User | None = key("User, or user:group, that its commands run as", default=None)
    working_dir: NodePath | None = key("Directory in which its commands start", default=None)
    env_file: Annotated[tuple[EnvFile, ...], OneOrMany(_TEXT)] = key(
        "Files of variables, NAME=VALUE; `environment` takes precedence", default=()
    )
    volumes: tuple[VolumeText, ...] = key("Files or directories of this machine: SOURCE:TARGET[:ro]", default=())
    tmpfs: Annotated[tuple[TmpfsText, ...], OneOrMany(_TEXT)] = key("Directories in memory", default=())
    ports: tuple[PortText, ...] = key("Ports that this machine publishes: HOST:NODE", default=())
    cap_add: tuple[Capability, ...] = key("Capabilities beside Docker's default", default=())
    cap_drop: tuple[Capability, ...] = key("Capabilities to take away", default=())
    devices: tuple[DeviceText, ...] = key("Devices of this machine", default=())
    privileged: Flag = key("Whether it has all capabilities and devices", default=False)
    ulimits: Mapping[UlimitName, UlimitValue] = key("Resource limits of its processes", default={})
    cpuset: CpuSet | None = key("CPUs of the machine that its processes may use", default=None)
    pids_limit: Count | None = key(
        "The most processes and threads that it may have at a time", default=None, example=100
    )
    extra_hosts: Hosts = key("Further names for its /etc/hosts, with their addresses", default={})
    dns: Annotated[tuple[Ip, ...], OneOrMany(_TEXT)] = key("Addresses of name servers", default=())
    hostname: OwnHostName | None = key("Its host name; the node's name unless given", default=None)
    restart: RestartPolicy | None = key("Whether its program is started again when it ends", default=None)
    pull_policy: Literal["always", "missing", "never"] | None = key(
        "When its image is pulled; when it is missing unless given", default=None, example="never"
    )
    platform: Platform | None = key("Platform of its image", default=None)
    shm_bytes: SomeSize | None = key("Size of its /dev/shm", alias="shm_size", default=None)
    stop_signal: Signal | None = key("Signal that ends its program before the lab is removed", default=None)
    labels: Labels = key("Labels of its container", default={})
    setup: tuple[Command, ...] = key("Commands to run in it once it has started, before it counts as ready", default=())
    depends_on: Dependencies = key("Nodes that must be ready before it starts", default=())
    ready: ReadyKeys | None = key(
        "When it counts as up; at once unless given", default=None, example={"http": "/health"}
    )

    @property
    def variables(self) -> dict[str, str]:
        """The variables of all `env_file`s; those of later ones count."""
        return {name: value for file in self.env_file for name, value in file.items()}

    @property
    def dependencies(self) -> dict[str, str]:
        """The condition of `depends_on` by node; of a list, that each is ready."""
        if isinstance(self.depends_on, Mapping):
            return {node: keys.condition for node, keys in self.depends_on.items()}
        return dict.fromkeys(self.depends_on, "service_healthy")

    @property
    def service(self) -> services.Service:
        """All of this but `ready` and `env_file`, as it is in a plan."""
        conditions: dict[str, services.Condition] = {
            node: "service_started" if condition == "service_started" else "service_healthy"
            for node, condition in self.dependencies.items()
        }
        return services.Service(
            build=self.build.resolved if self.build else None,
            entrypoint=self.entrypoint or (),
            user=self.user or "",
            working_dir=self.working_dir or "",
            volumes=self.volumes,
            tmpfs=self.tmpfs,
            ports=self.ports,
            cap_add=self.cap_add,
            cap_drop=self.cap_drop,
            devices=self.devices,
            privileged=self.privileged,
            ulimits=tuple(
                services.Ulimit(name=name, soft=soft, hard=hard) for name, (soft, hard) in self.ulimits.items()
            ),
            cpuset=self.cpuset or "",
            pids_limit=self.pids_limit or 0,
            extra_hosts=_pairs(self.extra_hosts),
            dns=self.dns,
            hostname=self.hostname or "",
            restart=self.restart or "",
            pull_policy=self.pull_policy or "",
            platform=self.platform or "",
            shm_bytes=self.shm_bytes or 0,
            stop_signal=self.stop_signal or "",
            labels=_pairs(self.labels),
            setup=self.setup,
            depends_on=tuple(services.Dependency(node=node, condition=how) for node, how in conditions.items()),
        )


def _pairs(entries: Mapping[str, str] | tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple(entries.items()) if isinstance(entries, Mapping) else entries
