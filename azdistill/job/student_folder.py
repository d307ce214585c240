"""Check a student's folder without loading it, and the rows: what train would refuse after the teacher is paid."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import SpecError
from azdistill.contracts.files import read_limited
from azdistill.contracts.problems import FieldPath, Problem, has_errors
from azdistill.contracts.time_limit import TimeLimitExceeded
from azdistill.contracts.train import UNIFORM
from azdistill.job.chat_template import MAX_BYTES, chat_template_file, read_chat_template
from azdistill.job.paths import folder_tree, is_remote
from azdistill.job.student_rows import long_rows, rejected_rows
from azdistill.job.tokenizer_checks import tokenizer_difference

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ADAPTER = "adapter_config.json"
FOLDER_OF_MODEL = "set the folder of the model's Hugging Face files: config.json, tokenizer and *.safetensors"
CHOOSE_TEMPLATE = "set student.chat_template to chatml or to the file of a template"
STUDENT: FieldPath = ("student", "model")

# Problems of a folder whose tokenizer is not read.
UNREADABLE = ("not_a_folder", "adapter", "gguf")

PICKLED = ("*.bin", "*.pt", "*.pth")

# Largest file that is read: tokenizer_config.json lists all added tokens.
MAX_JSON_BYTES = 20_000_000

# Endings of the classes of models that do not generate text from left to right.
OTHER_HEADS = (
    "ForMaskedLM",
    "ForPreTraining",
    "ForQuestionAnswering",
    "ForSequenceClassification",
    "ForTokenClassification",
)

# Values of model_type of encoders, which are decoders only with is_decoder: true.
ENCODERS = (
    "albert",
    "bert",
    "big_bird",
    "camembert",
    "deberta",
    "deberta-v2",
    "distilbert",
    "electra",
    "ernie",
    "eurobert",
    "modernbert",
    "mpnet",
    "nomic_bert",
    "roberta",
    "xlm-roberta",
)


def check_student(job: "DistillationJob") -> None:
    """Raise SpecError for a student that cannot be trained on the rows."""
    problems = list(student_problems(job))
    if has_errors(problems):
        raise SpecError(problems=problems)


@dataclass(frozen=True)
class ModelFolder:
    """A model of a job: its path or address, its field, and whether its weights are loaded."""

    path: str
    field: FieldPath
    has_weights: bool = True

    @property
    def folder(self) -> Path | None:
        """The folder on this machine, None for another address or a missing path."""
        return Path(self.path) if not is_remote(self.path) and os.path.isdir(self.path) else None

    def owner(self, name: str) -> Path | None:
        """The folder in it that has the file `name`."""
        return _nearest(self.folder, name) if self.folder else None

    def config(self) -> dict[str, Any]:
        """The content of config.json; empty where it is unknown."""
        owner = self.owner("config.json")
        return _read(owner / "config.json") if owner else {}

    def problem(self, code: str, message: str, fix: str) -> Problem:
        return Problem(code=code, message=message, fix=fix, field=self.field, value=self.path)


def student_of(job: "DistillationJob") -> ModelFolder:
    return ModelFolder(job.student.model, STUDENT, job.student.weights == "pretrained")


def ignored_weights() -> Problem:
    """A warning about random weights in place of those that the student's model has."""
    return Problem(
        code="ignored_weights",
        message="the student starts from random weights, and those of student.model are not used",
        fix="remove it to fine-tune the model",
        field=("student", "weights"),
        value="random",
        severity="warning",
    )


def student_problems(job: "DistillationJob") -> Iterator[Problem]:
    """Find what the folders of the student and of its teachers lack, teachers with another tokenizer, errors of the
    student's chat template, and rows that it cannot be trained on.

    Of a student that is not on this machine only the chosen template is checked.
    """
    student = student_of(job)
    problems = list(folder_problems(student))
    yield from problems
    config = None if student.has_weights else student.owner("config.json")
    if config and any(config.glob("*.safetensors")):
        yield ignored_weights()
    if not any(problem.code in UNREADABLE for problem in problems):
        yield from _template_problems(job, student.owner("tokenizer_config.json"))
        yield from long_rows(job, _positions(student.config()))
    for teacher in _teachers_of_tokens(job):
        yield from folder_problems(teacher)
        yield from _tokenizer_problems(teacher, student)
    yield from _layer_problems(job, student)


def _teachers_of_tokens(job: "DistillationJob") -> Iterator[ModelFolder]:
    """The models of a job that read the student's token ids."""
    for index, teacher in enumerate(job.white_box):
        yield ModelFolder(teacher.model, ("white_box", index, "model"))
    if job.scorer and job.scorer.model:
        yield ModelFolder(job.scorer.model, ("scorer", "model"))


def _tokenizer_problems(teacher: ModelFolder, student: ModelFolder) -> Iterator[Problem]:
    """Another tokenizer than the student's. Nothing where it is unknown."""
    of_teacher, of_student = teacher.owner("tokenizer.json"), student.owner("tokenizer.json")
    if of_teacher and of_student and (difference := tokenizer_difference(of_teacher, of_student)):
        yield teacher.problem(
            "other_tokenizer",
            f"its tokenizer is not that of the student: {difference}",
            "choose a teacher with the student's tokenizer, or use its log probabilities: train.losses.top_k",
        )


def folder_problems(model: ModelFolder) -> Iterator[Problem]:
    """Find what the folder of a model lacks. Nothing for a model that is not on this machine."""
    if not is_remote(model.path) and os.path.isfile(model.path):
        yield model.problem("not_a_folder", "is a file", FOLDER_OF_MODEL)
    if model.folder is None:
        return
    config = model.owner("config.json")
    owner = config or model.owner(ADAPTER) or model.folder
    if os.path.isfile(owner / ADAPTER):
        base = _read(owner / ADAPTER).get("base_model_name_or_path") or "its base model"
        fix = f"merge it into {base} and set the folder of the merged model"
        yield model.problem("adapter", f"holds an adapter ({ADAPTER}), not a complete model", fix)
        return
    if config is None and (gguf := _first_gguf(model.folder)):
        yield model.problem("gguf", f"has only a GGUF file ({gguf}), which cannot be trained", FOLDER_OF_MODEL)
        return
    if config is None:
        yield model.problem("missing_file", "no config.json", FOLDER_OF_MODEL)
    else:
        yield from _config_problems(model, config)
    if model.owner("tokenizer_config.json") is None:
        yield model.problem("missing_file", "no tokenizer_config.json", "copy the files of its tokenizer")


def tokenizer_file(job: "DistillationJob") -> Path | None:
    """tokenizer.json in the folder of a student on this machine."""
    owner = student_of(job).owner("tokenizer.json")
    return owner / "tokenizer.json" if owner else None


def context_length(job: "DistillationJob") -> int | None:
    """Positions of a student on this machine, tokens. None where they are unknown."""
    return _positions(student_of(job).config())


def _layer_problems(job: "DistillationJob", student: ModelFolder) -> Iterator[Problem]:
    """Layers of train.layer_map that the student or a teacher on this machine does not have."""
    losses, text = job.train.loss_weights, job.train.layer_map
    if text == UNIFORM or not (losses.hidden_states or losses.attention):
        return
    pairs = [tuple(map(int, pair.split(":"))) for pair in text.split(",")]
    teachers = [ModelFolder(teacher.model, ()) for teacher in job.white_box]
    models = [("student", 0, student), *(("teacher", 1, teacher) for teacher in teachers)]
    for name, side, model in models:
        count = _section(model.config()).get("num_hidden_layers")
        wrong = [pair[side] for pair in pairs if isinstance(count, int) and not 1 <= pair[side] <= count]
        if wrong:
            message = f"the {name} has no layer {wrong[0]}: its layers are 1 to {count}"
            fix, field = "choose layers that both models have, or uniform", ("train", "layer_map")
            yield Problem(code="unknown_layer", message=message, fix=fix, field=field, value=text)


def _template_problems(job: "DistillationJob", tokenizer: Path | None) -> Iterator[Problem]:
    """Problems of the template that the job sets, or of the tokenizer's own, and the rows that it rejects."""
    name = job.student.chat_template
    if name is None:
        template, fix = _template(tokenizer) if tokenizer else "", CHOOSE_TEMPLATE
        if tokenizer and not template:
            fix = f"{CHOOSE_TEMPLATE}, or choose a chat or instruct model"
            yield student_of(job).problem("no_chat_template", "its tokenizer has no chat template", fix)
    elif is_remote(name) or not os.path.isfile(chat_template_file(name)):
        return  # a missing file is a problem of the job itself
    else:
        try:
            template, fix = read_chat_template(name), "correct it"
        except (OSError, ValueError) as problem:
            yield _template_problem(job, "invalid_template", str(problem), "save it as UTF-8")
            return
    if template:
        yield from _rendering_problems(job, template, tokenizer, fix)


def _rendering_problems(job: "DistillationJob", text: str, tokenizer: Path | None, fix: str) -> Iterator[Problem]:
    from jinja2 import TemplateSyntaxError

    from azdistill.job.template_rendering import StudentTemplate, special_tokens

    try:
        template = StudentTemplate(
            text, special_tokens(_read(tokenizer / "tokenizer_config.json") if tokenizer else {})
        )
    except TemplateSyntaxError as error:
        message = f"its chat template is no valid Jinja (line {error.lineno}: {error.message})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    except (RecursionError, MemoryError, SyntaxError, TimeLimitExceeded) as error:
        message = f"its chat template is nested too deeply or too long ({type(error).__name__})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    if reason := template.error():
        message = f"its chat template can't render a question and its answer ({reason})"
        yield _template_problem(job, "invalid_template", message, fix)
        return
    for message in rejected_rows(job, template):
        yield _template_problem(job, "template_rejects_roles", message, "change the rows, or set student.chat_template")


def _template_problem(job: "DistillationJob", code: str, message: str, fix: str) -> Problem:
    """A problem of the template: of the one that the job sets, or of the student's own."""
    if job.student.chat_template is None:
        return student_of(job).problem(code, message, fix)
    field = ("student", "chat_template")
    return Problem(code=code, message=message, fix=fix, field=field, value=job.student.chat_template)


def _positions(config: dict[str, Any]) -> int | None:
    """The number of tokens that a model has positions for; None where it is unknown."""
    positions = _section(config).get("max_position_embeddings")
    return positions if isinstance(positions, int) and positions > 0 else None


def _section(config: dict[str, Any]) -> dict[str, Any]:
    """The part of config.json that describes the language model."""
    section = config.get("text_config")
    return section if isinstance(section, dict) else config


def _config_problems(model: ModelFolder, config: Path) -> Iterator[Problem]:
    content = _read(config / "config.json")
    names = content.get("architectures")
    name = str(names[0]) if isinstance(names, list) and names else ""
    is_encoder = content.get("model_type") in ENCODERS and content.get("is_decoder") is not True
    if content.get("is_encoder_decoder") is True or is_encoder or name.endswith(OTHER_HEADS):
        kind = name or ("an encoder" if is_encoder else "an encoder and decoder")
        yield model.problem("not_causal", f"{kind} is no causal language model", "choose a chat or instruct model")
    if model.field == STUDENT and model.has_weights and content.get("quantization_config"):
        fix = "set the folder of the model before quantization; method qlora quantizes it while it trains"
        yield model.problem("quantized_student", "its weights are quantized", fix)
    if model.has_weights and not any(config.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in PICKLED for path in config.glob(pattern))
        message = "no *.safetensors next to config.json" + (f", only pickled {pickled[0]}" if pickled else "")
        fix = "convert them to safetensors" if pickled else "download them"
        other = ", or set student.weights: random to train from scratch" if model.field == STUDENT else ""
        yield model.problem("no_weights", message, f"{fix}{other}")


def _nearest(folder: Path, name: str) -> Path | None:
    """The folder with the file `name` that is the fewest levels below `folder`: MLflow's layout has several levels."""
    owners = (path for path in folder_tree(folder) if os.path.isfile(path / name))
    return min(owners, key=lambda path: (len(path.parts), path), default=None)


def _first_gguf(folder: Path) -> str | None:
    """Name of the first GGUF file of a folder: the format of llama.cpp."""
    return next((path.name for inner in folder_tree(folder) for path in sorted(inner.glob("*.gguf"))), None)


def _template(tokenizer: Path) -> str:
    """The default chat template of a tokenizer, empty without one."""
    if os.path.isfile(file := tokenizer / "chat_template.jinja"):
        return _text(file, MAX_BYTES)
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
        content = json.loads(_text(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _text(path: Path, most: int) -> str:
    """Text of a file of at most `most` bytes; empty for one that can't be read."""
    try:
        return read_limited(path, most).decode("utf-8", errors="replace")
    except OSError:
        return ""
