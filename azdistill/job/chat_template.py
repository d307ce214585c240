"""The chat template of a student that has none: a built-in one by name, or a Jinja file of the user."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from azdistill.contracts.files import read_limited
from azdistill.job.paths import CHATML, resolve
from azdistill.job.snapshot import PACKAGE


def _chat_template(name: str, info: ValidationInfo) -> str:
    return name if name == CHATML else resolve(name, info)


# A built-in template, or the path of a template's file relative to the job file.
SpecChatTemplate = Annotated[str, AfterValidator(_chat_template)]


# The longest templates of models have some ten thousand characters.
MAX_BYTES = 200_000


def chat_template_file(name: str) -> str:
    """Path of a built-in template, or the path of a file as it is."""
    return str(PACKAGE / "job" / "chatml.jinja") if name == CHATML else name


def read_chat_template(name: Path | str) -> str:
    """Text of a template. Raises OSError, or ValueError where it is not UTF-8."""
    return read_limited(Path(chat_template_file(str(name))), MAX_BYTES).decode("utf-8")
