"""Write a software bill of materials (CycloneDX JSON) for each lock: `make sbom`.

One file for each environment of the steps, and `development.cdx.json` for constraints.txt, with the hashes that CI
compares. cyclonedx-py is the tool of the CycloneDX project; uv installs it apart from azdistill's own packages. It has
no list of the packages of a base image: that is Microsoft's to publish.
"""

import subprocess
import sys
from pathlib import Path

from environments import lock

CYCLONEDX = "cyclonedx-bom==7.5.0"

UVX = Path(sys.executable).with_name("uvx")


def requirements() -> dict[str, str]:
    """The pinned packages by the name of their bill of materials, in the format of pip."""
    environments = {name: "\n".join(lock.packages(name)) for name in lock.environments()}
    return {**environments, "development": lock.HASHES.read_text(encoding="utf-8")}


def write(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, packages in requirements().items():
        options = ["--output-format", "JSON", "--output-reproducible", "--output-file", folder / f"{name}.cdx.json"]
        command = [UVX, "--quiet", "--from", CYCLONEDX, "cyclonedx-py", "requirements", *options, "-"]
        subprocess.run(command, input=packages, text=True, check=True)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
