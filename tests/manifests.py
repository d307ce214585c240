"""Change a file of a complete folder as the step that writes it would."""

from pathlib import Path

from azdistill.contracts.files import read_json
from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.manifest import Manifest, close_folder


def rewrite(path: Path, text: str) -> None:
    """Write the file, and the manifest of its folder with its new digest."""
    path.write_text(text, encoding="utf-8")
    manifest = Manifest.model_validate(read_json(path.parent / MANIFEST_FILE))
    close_folder(path.parent, manifest.step, manifest.counts, manifest.provenance)
