"""The section `compose` of a file: the project whose services are nodes."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from testbed.services import ComposeProject
from testbed.topology.base import Model, key
from testbed.topology.service_values import OneOrMany
from testbed.topology.values import DockerName, Text


class Compose(Model):
    """A compose project whose services are nodes: one that is up, or one that the lab brings up from its files."""

    project: DockerName | None = key(
        "The project that is up, each running container of which is a node; with `file`, the new project's name",
        default=None,
    )
    file: Annotated[tuple[Text, ...], OneOrMany({"type": "string"})] = key(
        "Compose files, relative to this one: the lab makes what is in them, and removes it", default=()
    )
    profiles: tuple[Text, ...] = key("Profiles of the compose files to enable", default=())
    env_file: Text = key("File of variables for the compose files; the `.env` beside them unless given", default="")

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.file and self.project is None:
            said = {"said": "names no project", "hint": "give `file`, or the `project` that is up"}
            raise PydanticCustomError("missing-key", "{said}", said)
        if not self.file and (self.profiles or self.env_file):
            said = {"said": "gives what only compose files have", "hint": "give `file`, or leave it out"}
            raise PydanticCustomError("contradiction", "{said}", said)
        return self

    def from_files(self, directory: Path, lab: str) -> ComposeProject:
        """Return the project that a lab brings up.

        Args:
            directory: of the topology.
            lab: its name.
        """
        name = re.sub(r"[^-_a-z0-9]", "", (self.project or f"testbed-{lab}").lower())  # as Compose does
        return ComposeProject(
            name=name,
            files=tuple(str((directory / each).resolve()) for each in self.file),
            profiles=self.profiles,
            env_file=str((directory / self.env_file).resolve()) if self.env_file else "",
        )
