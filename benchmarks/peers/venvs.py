"""Separate virtual environments of the peers, under .bench/, because their pinned versions conflict with ours."""

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
VENVS = HERE.parent.parent / ".bench"
INSTALL_S = 60


class Peer(NamedTuple):
    """A client that others use for the same; its script takes URL, PROMPTS and IN_FLIGHT."""

    name: str
    package: str
    script: Path


PEERS = (
    Peer("AsyncOpenAI", "openai", HERE / "openai_client.py"),
    Peer("curator", "bespokelabs-curator", HERE / "curator_client.py"),
    Peer("DataDesigner", "data-designer", HERE / "data_designer_client.py"),
)


def python_of(peer: Peer) -> Path:
    """The interpreter that has the peer. Raises RuntimeError where it does not install within a minute."""
    folder = VENVS / peer.package
    if not (folder / ".installed").exists():
        _install(peer, folder)
    return folder / "bin" / "python"


def _install(peer: Peer, folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    command = [str(folder / "bin" / "pip"), "install", "--quiet", peer.package]
    try:
        subprocess.run(command, check=True, timeout=INSTALL_S, capture_output=True)
    except subprocess.SubprocessError as problem:
        raise RuntimeError(f"{peer.package} did not install within {INSTALL_S} s ({type(problem).__name__})") from None
    (folder / ".installed").touch()
