"""Files that the user writes for a judge: the rubric, and labels of people."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_limited
from azdistill.contracts.problems import explain
from azdistill.contracts.verdicts import HIGHEST, LOWEST, JudgeMode, Preference, Reading

# A rubric is part of every request to the judge.
MAX_RUBRIC_BYTES = 1_000_000


class HumanLabel(BaseModel):
    """One line of the file of labels: a row, its answers, and a preference or a score. Other fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    answers: tuple[str, ...] = Field(min_length=1, max_length=2)
    preference: Preference | None = None
    score: float | None = Field(None, ge=LOWEST, le=HIGHEST)

    def reading(self, mode: JudgeMode) -> Reading | None:
        """The verdict in a mode; None if the label is of another mode."""
        if mode == "pairwise":
            return self.preference if len(self.answers) == 2 else None
        return self.score if len(self.answers) == 1 else None


def read_labels(path: Path, mode: JudgeMode) -> Iterator[tuple[HumanLabel, Reading]]:
    """The labels of people with their verdicts. Raises DataError with the line of one that the mode cannot use."""
    form = '"answers": [TEXT, TEXT], "preference": "first"' if mode == "pairwise" else '"answers": [TEXT], "score": 4'
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if not line.strip():
            continue
        try:
            label = HumanLabel.model_validate_json(line)
            message = f"not a label for mode {mode}"
            reading = label.reading(mode)
        except ValidationError as error:
            message, reading = f"not a label ({explain(error)})", None
        if reading is None:
            fix = f'write {{"id": ROW, {form}}}'
            raise DataError(message, code="invalid_label", file=path, line=number, fix=fix)
        yield label, reading


def read_rubric(path: Path) -> str:
    """The text of a rubric. Raises DataError for a blank one, and for a file that is no text."""
    try:
        text = read_limited(path, MAX_RUBRIC_BYTES).decode("utf-8").strip()
    except OSError as error:
        raise DataError(str(error.strerror), code="invalid_rubric", file=path, fix="name a text file") from None
    except UnicodeDecodeError:
        raise DataError("is no UTF-8 text", code="invalid_rubric", file=path, fix="save it as UTF-8") from None
    if not text:
        raise DataError("is empty", code="empty_rubric", file=path, fix="write what makes an answer good")
    return text
