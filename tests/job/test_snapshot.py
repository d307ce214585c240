"""Snapshots are import closures, so a flag of one step leaves the others' hashes alone."""

import ast
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.step import scalar_type
from azdistill.job.catalog import MODELS_FILE
from azdistill.job.components import STEPS, amlignore, command, component, step_of
from azdistill.job.snapshot import ROOT, _sources, closure, imports

# Dependencies of each step besides the standard library and pydantic. The report shows all declared metrics, and a
# metric's file has its declaration and its computation: `azdistill.metrics.bleu` imports sacrebleu when it computes.
HEAVY = {
    "prepare": {"ijson", "math_verify", "numpy", "orjson", "pyarrow", "rouge_score", "yaml"},
    "regression": {"ijson", "math_verify", "orjson", "pyarrow", "rouge_score", "yaml"},
    "teacher": {
        *("aiohttp", "azure", "ijson", "math_verify", "numpy", "orjson", "pyarrow", "rouge_score", "safetensors"),
        *("uvloop", "yaml"),
    },
    "curate": {"math_verify", "numpy", "py3langid", "rouge_score"},
    "augment": {
        *("aiohttp", "azure", "ijson", "math_verify", "numpy", "orjson", "pyarrow", "rouge_score", "safetensors"),
        *("uvloop", "yaml"),
    },
    "train": {
        *("torch", "transformers", "mlflow", "accelerate", "jinja2", "peft", "safetensors", "psutil", "numpy"),
        "pyarrow",
    },
    # vllm only where it is installed
    "predict": {"torch", "transformers", "jinja2", "peft", "safetensors", "psutil", "numpy", "vllm"},
    "judge": {"aiohttp", "azure", "math_verify", "numpy", "orjson", "rouge_score", "safetensors", "uvloop"},
    "judge_answers": {"aiohttp", "azure", "math_verify", "numpy", "orjson", "rouge_score", "safetensors", "uvloop"},
    "evaluate": {"math_verify", "numpy", "rouge_score", "sacrebleu", "scipy"},
    "report": {"jinja2", "math_verify", "mlflow", "py3langid", "rouge_score", "sacrebleu"},
    "register": {"azure", "jinja2", "mlflow", "yaml"},
}


def stage(step: str, folder: Path) -> Path:
    for path in closure(f"azdistill.steps.{step}"):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / path).read_bytes())
    return folder


@pytest.mark.parametrize(("edited", "unedited"), list(itertools.permutations(STEPS, 2)))
def test_a_new_flag_of_one_step_leaves_every_other_snapshot_alone(edited: str, unedited: str) -> None:
    config = Path("azdistill/contracts") / f"{edited}.py"
    assert config in closure(f"azdistill.steps.{edited}")
    assert config not in closure(f"azdistill.steps.{unedited}")


@pytest.mark.parametrize("step", STEPS)
def test_only_what_runs_is_uploaded(step: str) -> None:
    """Without an `__init__` at the top, an installed azdistill would be imported in the snapshot's place."""
    inits = {path for path in closure(f"azdistill.steps.{step}") if path.name == "__init__.py"}
    assert Path("azdistill/__init__.py") in inits
    bodies = [ast.parse((ROOT / path).read_bytes()).body for path in inits]
    assert not [body for body in bodies if all(isinstance(statement, ast.Expr) for statement in body)]


@pytest.mark.parametrize("step", STEPS)
def test_no_snapshot_contains_the_model_catalog(step: str) -> None:
    assert MODELS_FILE.relative_to(ROOT) not in closure(f"azdistill.steps.{step}")


def test_editing_the_trainer_leaves_the_paid_step_alone() -> None:
    teacher = closure("azdistill.steps.teacher")
    assert not [path for path in teacher if path.parts[1] in {"training", "generation", "evaluation", "students"}]
    assert Path("azdistill/api/public.py") not in teacher


def test_the_imports_of_every_module_of_ours_are_those_that_the_parser_finds() -> None:
    parsed = {name: tuple(sorted(_parsed(ROOT / path) & set(_sources()))) for name, path in _sources().items()}
    assert {name: imports(name) for name in _sources()} == parsed
    assert sum(map(len, parsed.values())) > 500


def _parsed(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    members = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return plain | {f"{node.module}{name}" for node in members for name in ("", *(f".{a.name}" for a in node.names))}


@pytest.mark.parametrize("step", STEPS)
def test_a_snapshot_answers_help_with_only_its_own_dependencies(step: str, tmp_path: Path) -> None:
    folder = stage(step, tmp_path)
    (folder / "sitecustomize.py").write_text(GUARD.format(allowed={"pydantic", *HEAVY[step]}))
    done = subprocess.run(
        [sys.executable, "-m", f"azdistill.steps.{step}", "--help"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


GUARD = """
import importlib.abc, importlib.metadata, sys

ALLOWED = {allowed}
OURS = {{name for name in sys.stdlib_module_names}} | {{"azdistill"}}
NEEDED_BY_PYDANTIC = {{"pydantic_core", "annotated_types", "typing_extensions", "typing_inspection", "dotenv"}}

class Guard(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in OURS | ALLOWED | NEEDED_BY_PYDANTIC and not top.startswith("_"):
            raise ImportError(f"{{name}} is not among the dependencies of this step")
        return None

sys.meta_path.insert(0, Guard())
"""


@pytest.mark.parametrize("step", STEPS)
def test_a_snapshot_imports_only_the_dependencies_of_its_step(step: str) -> None:
    tops = {top for path in closure(f"azdistill.steps.{step}") if path.suffix == ".py" for top in _tops(ROOT / path)}
    assert tops - set(sys.stdlib_module_names) - {"azdistill", "pydantic", "pydantic_core"} <= HEAVY[step]


def test_the_report_loads_no_library_that_computes_metrics() -> None:
    program = "import sys, azdistill.reporting.collect, azdistill.reporting.render; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "azdistill.metrics.bleu" in loaded
    assert not loaded & {"rouge_score", "sacrebleu", "numpy", "scipy"}


def _tops(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    members = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in plain | members}


SAFE = [
    [r"^[A-Za-z0-9._-]+$"],
    [r"^[A-Za-z][A-Za-z0-9_]*$"],
    [r"^[A-Za-z0-9_-]+(,[A-Za-z0-9_-]+)+$"],
    [r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(,[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"],
    [r"^azureml://registries/[A-Za-z0-9._/-]+$"],
    [r"^(same|[a-z]{2,3})$"],
    [r"^(uniform|[0-9]{1,4}:[0-9]{1,4}(,[0-9]{1,4}:[0-9]{1,4})*)$"],
    [r"^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?(,[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)*$"],
    [r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"],
]


@pytest.mark.parametrize("step", STEPS)
def test_every_string_that_reaches_the_shell_admits_no_shell_character(step: str) -> None:
    """Azure ML pastes literals into `bash -c`; nothing is quoted there, so nothing may need it."""
    for name, info in step_of(step).config.model_fields.items():
        if scalar_type(info) is str:
            patterns = [item.pattern for item in info.metadata if getattr(item, "pattern", None)]
            literal = "Literal" in str(info.annotation)
            assert literal or patterns in SAFE, f"{step}.{name}"


@pytest.mark.parametrize("step", STEPS)
def test_every_field_and_port_is_an_input_and_a_flag(step: str) -> None:
    declared = step_of(step)
    document = component(declared, {"code": "./code"})
    assert list(document["inputs"]) == [*declared.inputs, *declared.config.model_fields]
    text = command(declared).replace("'", "")
    assert all(f"--{name.replace('_', '-')} ${{{{inputs.{name}}}}}" in text for name in document["inputs"])


@pytest.mark.parametrize("step", STEPS)
def test_pages_and_type_stubs_are_not_uploaded(step: str) -> None:
    files = closure(f"azdistill.steps.{step}")
    assert Path("azdistill/engine/problems.py") in files
    assert (ROOT / "azdistill/engine/README.md").is_file()
    assert not [path for path in files if path.suffix in (".md", ".pyi")]


def test_the_ignore_file_names_every_file_of_the_closure() -> None:
    lines = amlignore(step_of("teacher")).splitlines()
    assert "!azdistill/steps/teacher.py" in lines
    assert "!azdistill/__init__.py" in lines
