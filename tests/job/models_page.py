"""Generate docs/models.md from the model catalog.

`python -m tests.job.models_page` writes it.
"""

from collections.abc import Iterator
from pathlib import Path

from azdistill.cli.models import ROWS, lifecycle, number, training_memory
from azdistill.contracts.train import TrainConfig
from azdistill.job.catalog import Facts, StudentFacts, TeacherFacts, built_in
from azdistill.job.memory_table import memory_table
from azdistill.job.training_settings import METHODS

PAGE = Path(__file__).parents[2] / "docs" / "models.md"

TEXT = """\
# Models in the catalog

Generated from `azdistill/job/models.yaml`; as of {as_of}. Short names and warnings use these facts. The catalog
is no list of allowed models: any teacher behind a chat completions endpoint and any student that transformers can load
works. An empty cell is an unknown fact. Lifecycles are those of Microsoft's retirement schedule of that day.

## Teachers

`teacher_model: NAME` uses the deployment of the second column; in the full form, `model` is your deployment's own name.

| name | deployment | reached by | parameters | context | licence | in Azure's catalog |
|---|---|---|---|---|---|---|
{teachers}

Parameters are billions, all experts counted; contexts are tokens. *foundry* and *azure-openai* are resources with an
OpenAI-style address, *serverless* is an endpoint that serves only this model. *messages* is Anthropic's Messages API,
which azdistill does not support: it needs a gateway that translates chat completions.

## Students

`student: {{model: NAME}}` uses the address. If the table has no address in Azure's registries, download the model from
Hugging Face and name the folder. The facts also apply to a folder with the name of the model.

| name | address or source | class | parameters | context | licence | in Azure's catalog |
|---|---|---|---|---|---|---|
{students}

A student that Azure retired is no longer served by Azure; weights that you have can still be trained.

### GPU memory

GB of one GPU for a batch of {rows} rows of {length:,} tokens with gradient checkpointing, and the smallest VM whose GPU
has them, in bfloat16 (float32 on a T4). With several GPUs, each trains a complete copy of the student. Source:
`azdistill/job/memory_table.json`, measured on {measured} on fake tensors; `azdistill plan` computes them for the
settings of a job ([how](training.md#memory)). A cell with ~ is a rough estimate without activations.

| name | full | smallest VM | LoRA | smallest VM | QLoRA | smallest VM |
|---|---|---|---|---|---|---|
{memory}

## Licences with duties

| licence | duty |
|---|---|
{duties}

azdistill warns until the job acknowledges the licence, which means that you have read it and comply with it:

```yaml
licences_acknowledged: [llama3.3]
```

This table is a reminder, not legal advice: read the licence.

## Your own catalog

Models and facts change faster than releases. `catalog:` in a job adds models and corrects fields, here or in a YAML
file that it names, with a path relative to the job file:

```yaml
teacher_model: my-teacher
student_model: my-student
task_type: conversation
training_data: ./training_data.jsonl

catalog:                          # or catalog: ./models.yaml
  teachers:
    my-teacher: {{name: our-deployment, parameters: 70, context: 128000, licence: internal}}
    gpt-5.1: {{lifecycle: legacy, retires: 2027-01-31}}
  students:
    my-student: {{address: "azureml:my-student:3", parameters: 2, context: 8192}}
```

{fields}
"""


def page() -> str:
    """The text of the page."""
    models = [*built_in().teachers.values(), *built_in().students.values()]
    duties = sorted({(facts.licence, facts.duty) for facts in models if facts.licence and facts.duty})
    return TEXT.format(
        as_of=built_in().as_of,
        teachers="\n".join(_teacher(name, facts) for name, facts in built_in().teachers.items()),
        students="\n".join(_student(name, facts) for name, facts in built_in().students.items()),
        rows=ROWS,
        length=TrainConfig().max_length,
        measured=memory_table().as_of,
        memory="\n".join(_memory(name, facts) for name, facts in built_in().students.items()),
        duties="\n".join(_row(f"`{licence}`", duty) for licence, duty in duties),
        fields="\n".join(_fields()),
    )


def _teacher(name: str, facts: TeacherFacts) -> str:
    shown = (number(facts.parameters), number(facts.context), facts.licence, lifecycle(facts))
    return _row(f"`{name}`", f"`{facts.name or name}`", facts.route, *shown)


def _student(name: str, facts: StudentFacts) -> str:
    shown = (facts.architecture, number(facts.parameters), number(facts.context), facts.licence, lifecycle(facts))
    return _row(f"`{name}`", f"`{facts.registry or facts.source}`", *shown)


def _memory(name: str, facts: StudentFacts) -> str:
    return _row(f"`{name}`", *(cell for method in METHODS for cell in training_memory(name, facts, method)))


def _fields() -> Iterator[str]:
    yield "| field | of | |\n|---|---|---|"
    for of, model in (("both", Facts), ("teachers", TeacherFacts), ("students", StudentFacts)):
        own = [name for name in model.model_fields if of == "both" or name not in Facts.model_fields]
        yield from (_row(f"`{name}`", of, model.model_fields[name].description) for name in own)


def _row(*cells: str | None) -> str:
    return f"| {' | '.join(cell or '' for cell in cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
