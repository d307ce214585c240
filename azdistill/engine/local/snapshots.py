"""Copy the code snapshot of a component into the folder where its command runs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

from azdistill.engine.local.hashing import FileHashes, combine
from azdistill.engine.local.storage import engine_folder, remove
from azdistill.engine.pipeline.snapshots import Snapshot

# Folders in the working folder of a command that exist from its start.
ARTIFACTS = ("outputs", "logs")

# Azure ML uploads a larger snapshot with every change of a file.
MAX_BYTES, MAX_FILES = 100_000_000, 2_000


def snapshot_hashes(snapshot: Snapshot, hashes: FileHashes) -> dict[str, str]:
    """Name -> hash of the files and zips of a snapshot."""
    zips = {name: combine(hashes.files(entries.items())) for name, entries in snapshot.zips.items()}
    return hashes.files(snapshot.files.items()) | zips


def large_snapshot(files: Mapping[str, Path]) -> str:
    """A sentence about a snapshot that takes long to upload, with its largest file; empty for any other."""
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total <= MAX_BYTES and len(files) <= MAX_FILES:
        return ""
    largest = max(sizes, key=lambda name: sizes[name])
    return (
        f"its code snapshot has {len(files):,} files, {total / 1e6:,.0f} MB; the largest is {largest!r}, "
        f"{sizes[largest] / 1e6:,.1f} MB: list what the command does not need in .amlignore"
    )


def stage(snapshot: Snapshot, folder: Path) -> None:
    """Copy the files of a snapshot into `folder`, each under its name, and remove everything else there. The folders of
    artifacts are there too, which Azure ML uploads to the job."""
    engine_folder(folder.parent)
    remove(folder)
    folder.mkdir()
    for name, source in snapshot.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, folder / name)
    for name, entries in snapshot.zips.items():
        with ZipFile(folder / name, "w", strict_timestamps=False) as archive:
            archive.mkdir(Path(name).stem)
            for entry in sorted(entries):
                archive.write(entries[entry], entry)
    for name in ARTIFACTS:
        if not (folder / name).exists():
            (folder / name).mkdir()
