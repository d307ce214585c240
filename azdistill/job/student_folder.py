"""Check the files of a student's folder without loading them: what train would refuse after the teacher is paid."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import Problem
from azdistill.job.chat_template import chat_template_file, read_chat_template
from azdistill.job.paths import is_remote

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ADAPTER = "adapter_config.json"
CHOOSE_TEMPLATE = "set student.chat_template to chatml or to the file of a template"
PICKLED = ("*.bin", "*.pt", "*.pth")

# Endings of the classes of models that do not generate text from left to right.
OTHER_HEADS = (
    "ForMaskedLM",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForSequenceClassification",
    "ForTokenClassification",
)


def check_student(job: "DistillationJob") -> None:
    """Raise SpecError for an incomplete folder."""
    if problems := list(student_problems(job)):
        raise SpecError(problems=problems)


def student_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Find what the folder of a student lacks, and errors of its chat template.

    Of a student that is not on this machine only the chosen template is checked.
    """
    yield from _chosen_template_problems(job.student.chat_template)
    folder = Path(job.student.model)
    if is_remote(job.student.model) or not folder.is_dir():
        return
    config, tokenizer = _nearest(folder, "config.json"), _nearest(folder, "tokenizer_config.json")
    model = config or _nearest(folder, ADAPTER) or folder
    if (model / ADAPTER).is_file():
        base = _read(model / ADAPTER).get("base_model_name_or_path") or "its base model"
        fix = f"merge it into {base} and set the folder of the merged model"
        yield _problem(job, "adapter", f"holds an adapter ({ADAPTER}), not a complete model", fix)
        return
    if config is None:
        yield _problem(job, "missing_file", "no config.json", "set the folder of a Hugging Face model")
    else:
        yield from _config_problems(job, config)
    if tokenizer is None:
        yield _problem(job, "missing_file", "no tokenizer_config.json", "copy the files of its tokenizer")
    elif not job.student.chat_template:
        yield from _template_problems(job, _template(tokenizer))


def _chosen_template_problems(name: str | None) -> Iterator[Problem]:
    """Problems of the template that a job sets. A missing file is a problem of the job itself."""
    if name is None or is_remote(name) or not Path(chat_template_file(name)).is_file():
        return
    try:
        error, fix = _syntax_error(read_chat_template(name)), "correct it"
    except (OSError, ValueError) as problem:
        error, fix = str(problem), "save it as UTF-8"
    if error:
        message, field = f"no valid Jinja ({error})", ("student", "chat_template")
        yield Problem(code="invalid_template", message=message, fix=fix, field=field, value=name)


def _template_problems(job: "DistillationJob", template: str) -> Iterator[Problem]:
    if not template:
        fix = f"{CHOOSE_TEMPLATE}, or choose a chat or instruct model"
        yield _problem(job, "no_chat_template", "its tokenizer has no chat template", fix)
    elif error := _syntax_error(template):
        yield _problem(job, "invalid_template", f"its chat template is no valid Jinja ({error})", CHOOSE_TEMPLATE)


def _syntax_error(template: str) -> str:
    """The first syntax error of a template, empty without any, or where Jinja is not installed."""
    try:
        from jinja2 import Environment, TemplateSyntaxError
    except ImportError:
        return ""
    # transformers marks the assistant's turns with a tag of its own.
    plain = re.sub(r"{%-?\s*(end)?generation\s*-?%}", "", template)
    try:
        Environment(extensions=["jinja2.ext.loopcontrols"]).parse(plain)
    except TemplateSyntaxError as error:
        return f"line {error.lineno}: {error.message}"
    return ""


def _config_problems(job: "DistillationJob", config: Path) -> Iterator[Problem]:
    content = _read(config / "config.json")
    names = content.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    if content.get("is_encoder_decoder") is True or name.endswith(OTHER_HEADS):
        kind = name or "an encoder and decoder"
        yield _problem(job, "not_causal", f"{kind} is no causal language model", "choose a chat or instruct model")
    if job.student.weights == "pretrained" and content.get("quantization_config"):
        fix = "set the folder of the model before quantization; method qlora quantizes it while it trains"
        yield _problem(job, "quantized_student", "its weights are quantized", fix)
    if job.student.weights == "pretrained" and not any(config.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLED for path in config.glob(pattern))
        message = "no *.safetensors next to config.json" + (f", only pickled {pickled[0]}" if pickled else "")
        fix = "convert them to safetensors" if pickled else "download them"
        yield _problem(job, "no_weights", message, f"{fix}, or set student.weights: random to train from scratch")


def _problem(job: "DistillationJob", code: str, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, fix=fix, field=("student", "model"), value=job.student.model)


def _nearest(folder: Path, name: str) -> Path | None:
    """The folder with the file `name` that is the fewest levels below `folder`: MLflow's layout has several levels."""
    return min((path.parent for path in folder.rglob(name)), key=lambda path: (len(path.parts), path), default=None)


def _template(tokenizer: Path) -> str:
    """The default chat template of a tokenizer, empty without one."""
    if (file := tokenizer / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "tokenizer_config.json"):
        template = _read(tokenizer / name).get("chat_template")
        if isinstance(template, list):  # several by name
            named = {item.get("name"): item.get("template") for item in template if isinstance(item, dict)}
            template = named.get("default")
        if isinstance(template, str) and template.strip():
            return template
    return ""


def _read(path: Path) -> dict[str, Any]:
    """Content of a JSON file; empty for one that can't be read, which transformers reports."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
