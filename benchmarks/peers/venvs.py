"""Separate virtual environments of the peers, under .bench/, because their pinned versions conflict with ours."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
VENVS = HERE.parent.parent / ".bench"
INSTALL_S = 60


class Peer(NamedTuple):
    """A program that others use for the same: what pip installs for it, separated by spaces, and our script for it."""

    name: str
    package: str
    script: Path


PEERS = (
    Peer("AsyncOpenAI", "openai", HERE / "openai_client.py"),
    Peer("curator", "bespokelabs-curator", HERE / "curator_client.py"),
    Peer("DataDesigner", "data-designer", HERE / "data_designer_client.py"),
)


def python_of(peer: Peer, install_s: float = INSTALL_S) -> Path:
    """The interpreter that has the peer. Raises RuntimeError where it does not install within `install_s` seconds."""
    folder = VENVS / peer.name.lower()
    if not (folder / ".installed").exists():
        _install(peer, folder, install_s)
    return folder / "bin" / "python"


def _install(peer: Peer, folder: Path, install_s: float) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [str(folder / "bin" / "pip"), "install", "--quiet", *peer.package.split()]
    try:
        subprocess.run(command, check=True, timeout=install_s, capture_output=True)
    except subprocess.SubprocessError as problem:
        raise RuntimeError(
            f"{peer.package} did not install within {install_s:.0f} s ({type(problem).__name__})"
        ) from None
    (folder / ".installed").touch()
