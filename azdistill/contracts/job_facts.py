"""Facts about a job that its steps do not compute, for the report and the model card."""

from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict


class ModelFacts(BaseModel):
    """A model that the student was made from. `source` is its repository on Hugging Face. None: not known.

    `duty` is a duty of its licence, which the user of the job may have `acknowledged`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    name: str
    source: str | None = None
    licence: str | None = None
    duty: str | None = None
    acknowledged: bool = False

    @property
    def licence_facts(self) -> tuple[str, str, str, str]:
        """Name, licence, duty and acknowledgement, for a table."""
        unknown = "not known"
        duty = self.duty or ("none known" if self.licence else unknown)
        acknowledged = "yes" if self.acknowledged else "no" if self.duty else ""
        return self.name, self.licence or unknown, duty, acknowledged


class JobFacts(BaseModel):
    """Models with their licences, and names of the data files.

    `data` has the name of each file by its input: training_data, validation_data, test_data. `language` is an
    ISO 639 code. `baseline` is the name of a baseline that is not the student before training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    student: ModelFacts | None = None
    teachers: tuple[ModelFacts, ...] = ()
    baseline: str | None = None
    data: dict[str, str] = {}
    language: str | None = None

    @property
    def baseline_name(self) -> str:
        return self.baseline or "the student before training"

    @property
    def models(self) -> Iterator[ModelFacts]:
        """Teachers and student."""
        yield from self.teachers
        if self.student:
            yield self.student
