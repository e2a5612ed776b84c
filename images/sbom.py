"""Write what an image consists of, its Debian and Python packages, as a CycloneDX SBOM in JSON.

python images/sbom.py IMAGE FILE
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

_DEBIAN = ("dpkg-query", "--show", "--showformat", "${Package}\\t${Version}\\t${Architecture}\\n")
_PYTHON = (
    "python3",
    "-c",
    "from importlib.metadata import distributions as all; [print(d.name, d.version, sep=chr(9)) for d in all()]",
)


def packages(image: str) -> Iterator[PackageURL]:
    """Yield the packages of an image, as itself says."""
    for name, version, architecture in _said(image, _DEBIAN):
        yield PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": "bookworm"})
    for name, version in _said(image, _PYTHON):
        yield PackageURL("pypi", None, name.lower().replace("_", "-"), version)


def _said(image: str, command: tuple[str, ...]) -> list[list[str]]:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network", "none", image, *command], check=True, capture_output=True
    )
    return [line.split("\t") for line in done.stdout.decode().splitlines()]


def main() -> None:
    """Write the SBOM of the image to the file."""
    image, file = sys.argv[1], Path(sys.argv[2])
    inspected = json.loads(
        subprocess.run(["docker", "image", "inspect", image], check=True, capture_output=True).stdout
    )[0]
    bom = Bom(
        components=[
            Component(name=url.name, version=url.version, purl=url, bom_ref=str(url), type=ComponentType.LIBRARY)
            for url in packages(image)
        ]
    )
    root = Component(name=image, version=inspected["Id"], bom_ref=image, type=ComponentType.CONTAINER)
    bom.metadata.component = root
    bom.register_dependency(root, bom.components)
    text = JsonV1Dot6(bom).output_as_string(indent=1)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"sbom: not valid CycloneDX: {error}")
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    print(f"sbom     {file}: {len(bom.components)} packages")  # noqa: T201


if __name__ == "__main__":
    main()
