"""azdistill models: list the models of the catalog."""

from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Format
from azdistill.cli.render import print_columns, print_text

if TYPE_CHECKING:
    from azdistill.job.catalog import Facts, StudentFacts

TEACHER_HEADINGS = ("teacher", "parameters", "context", "licence", "needs", "in Azure")
STUDENT_HEADINGS = ("student", "parameters", "context", "licence", "needs for LoRA", "weights from", "in Azure")
# What a teacher is reached by, by its route in the catalog.
ROUTES = {
    "foundry": "Foundry resource",
    "azure-openai": "Azure OpenAI resource",
    "serverless": "serverless endpoint",
    "messages": "gateway for Anthropic's API",
}
# Rows of the batch for which memory is shown.
ROWS = 8


def models(
    format: Annotated[Format, typer.Option("--format", help="json: all facts, for programs")] = Format.text,
) -> None:
    """List the teachers and students of the catalog.

    A job may name any other model too: the catalog is for short names, estimates and warnings. Parameters are billions,
    contexts are tokens. The GPU memory is that of LoRA with 8 rows of 2,048 tokens; `azdistill plan` computes it for a
    job.

    Example: azdistill models --format json

    Exit codes: 0 listed.
    """
    import json

    from azdistill.job.catalog import built_in

    catalog = built_in()
    if format == Format.json:
        print_text(json.dumps(catalog.model_dump(mode="json", exclude_none=True), indent=2))
        return
    teachers = catalog.teachers.items()
    print_columns(
        [
            TEACHER_HEADINGS,
            *((name, *_size(facts), ROUTES.get(facts.route or "", ""), lifecycle(facts)) for name, facts in teachers),
        ]
    )
    print_text("")
    students = catalog.students.items()
    print_columns(
        [
            STUDENT_HEADINGS,
            *(
                (name, *_size(facts), _needs(name, facts), _weights(facts), lifecycle(facts))
                for name, facts in students
            ),
        ]
    )
    print_text(f"\nfacts as of {catalog.as_of}; section catalog of a job adds models and corrects facts")


def lifecycle(facts: "Facts") -> str:
    """`legacy, retires 2027-04-14, then gpt-5.1`."""
    word = "" if facts.lifecycle == "retired" else ", retires"
    when = f"{word} {facts.retires}" if facts.retires else ""
    replacement = f", then {facts.replacement}" if facts.replacement else ""
    return f"{facts.lifecycle or ''}{when}{replacement}"


def number(value: float | None) -> str:
    """`131,072` or `0.135`, empty for an unknown number."""
    return "" if value is None else f"{value:,.15g}"


def training_memory(name: str, facts: "StudentFacts", method: str) -> tuple[str, str]:
    """GB of one GPU for a batch of ROWS rows, with ~ for a rough estimate, and the smallest VM size with them."""
    from azdistill.contracts.train import TrainConfig
    from azdistill.engine.pipeline.vm_sizes import VM_SIZES
    from azdistill.job.memory import Training

    settings = {"method": method, "batch_size": ROWS, "gradient_checkpointing": True}
    config = TrainConfig.model_validate(settings)
    vm = Training(facts, name, config, None).smallest_vm()
    memory = Training(facts, name, config, VM_SIZES[vm] if vm else None).memory()
    return (f"{'~' * memory.is_rough}{memory.total_gb:.1f}" if memory else ""), vm or ""


def _size(facts: "Facts") -> tuple[str, str, str]:
    return number(facts.parameters), number(facts.context), facts.licence or ""


def _needs(name: str, facts: "StudentFacts") -> str:
    memory, vm = training_memory(name, facts, "lora")
    return f"{memory} GB, {vm}" if memory and vm else f"{memory} GB" if memory else ""


def _weights(facts: "StudentFacts") -> str:
    if facts.registry:
        return "registry " + facts.registry.removeprefix("azureml://registries/").partition("/")[0]
    return f"huggingface.co/{facts.source}" if facts.source else ""
