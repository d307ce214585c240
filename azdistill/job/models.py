"""The facts that azdistill comes with. They move: a job's `catalog:` corrects them without waiting for a release.

Lifecycles are those of Microsoft's "Model retirement schedule" and "Retired models" on AS_OF; contexts of its pages of
Foundry models; parameters, architectures and licences of the models' own cards. What no source says is left out.
`make golden` writes docs/models.md from this file.
"""

from datetime import date
from typing import Any

from azdistill.job.catalog import Catalog

AS_OF = date(2026, 9, 2)

AZURE = "azureml://registries/azureml/models"
META = "azureml://registries/azureml-meta/models"
DEEPSEEK = "azureml://registries/azureml-deepseek/models"

LLAMA = "to give the student away, begin its name with Llama, show 'Built with Llama' and enclose the licence"
GEMMA = "whoever gets the student gets Google's terms of use with it, as for a derivative of Gemma"
RESEARCH = "the licence allows research and evaluation, no commercial use"
OPENAI = "the terms forbid training models that compete with OpenAI on its outputs"
ANTHROPIC = "the terms forbid training competing models on Claude's outputs without Anthropic's approval"

Data = dict[str, Any]

_DEEPSEEK: Data = {"route": "foundry", "licence": "mit"}
_DEEPSEEK_V3: Data = {**_DEEPSEEK, "lifecycle": "retired", "retires": "2026-07-13", "replacement": "DeepSeek-V4-Flash"}
_DEEPSEEK_R1: Data = {**_DEEPSEEK, "lifecycle": "retired", "replacement": "DeepSeek-V4-Pro", "parameters": 671}
_GPT: Data = {"route": "azure-openai", "licence": "openai-terms", "duty": OPENAI}
_CLAUDE: Data = {"route": "messages", "licence": "anthropic-terms", "duty": ANTHROPIC, "lifecycle": "ga"}
_LLAMA_31: Data = {"licence": "llama3.1", "duty": LLAMA, "context": 131_072}
_LLAMA_31_RETIRED: Data = {**_LLAMA_31, "lifecycle": "retired", "retires": "2026-06-13"}
_LLAMA_32: Data = {
    "licence": "llama3.2",
    "duty": LLAMA,
    "context": 131_072,
    "architecture": "LlamaForCausalLM",
}
_PHI: Data = {"licence": "mit", "architecture": "Phi3ForCausalLM"}
_PHI_3: Data = {
    **_PHI,
    "parameters": 3.8,
    "lifecycle": "retired",
    "retires": "2025-08-30",
    "replacement": "Phi-4-mini-instruct",
}
_QWEN_25: Data = {"licence": "apache-2.0", "architecture": "Qwen2ForCausalLM", "context": 32_768}
_QWEN_3: Data = {"licence": "apache-2.0", "architecture": "Qwen3ForCausalLM", "context": 32_768}
_SMOLLM_2: Data = {"licence": "apache-2.0", "architecture": "LlamaForCausalLM", "context": 8_192}

TEACHERS: dict[str, Data] = {
    # Azure serves V3.2 since V3 and V3-0324 were retired, so that is what a tutorial's deepseek-v3 asks today.
    "deepseek-v3": {
        **_DEEPSEEK,
        "name": "DeepSeek-V3.2",
        "parameters": 671,
        "context": 128_000,
        "lifecycle": "ga",
        "source": "deepseek-ai/DeepSeek-V3.2",
    },
    "deepseek-v3-0324": {**_DEEPSEEK_V3, "name": "DeepSeek-V3-0324", "parameters": 671},
    "deepseek-v3.1": {**_DEEPSEEK_V3, "name": "DeepSeek-V3.1", "parameters": 671},
    "deepseek-r1": {
        **_DEEPSEEK_R1,
        "name": "DeepSeek-R1",
        "retires": "2026-08-13",
        "registry": f"{DEEPSEEK}/DeepSeek-R1",
        "source": "deepseek-ai/DeepSeek-R1",
    },
    "deepseek-r1-0528": {
        **_DEEPSEEK_R1,
        "name": "DeepSeek-R1-0528",
        "retires": "2026-07-13",
        "source": "deepseek-ai/DeepSeek-R1-0528",
    },
    "deepseek-v4-flash": {
        "route": "foundry",
        "name": "DeepSeek-V4-Flash",
        "context": 1_000_000,
        "lifecycle": "ga",
        "retires": "2028-02-20",
    },
    "deepseek-v4-pro": {
        "route": "foundry",
        "name": "DeepSeek-V4-Pro",
        "context": 1_000_000,
        "lifecycle": "ga",
        "retires": "2028-02-20",
    },
    "llama-3.1-405b": {
        **_LLAMA_31_RETIRED,
        "name": "Meta-Llama-3.1-405B-Instruct",
        "route": "serverless",
        "parameters": 405,
        "registry": f"{META}/Meta-Llama-3.1-405B-Instruct",
        "source": "meta-llama/Llama-3.1-405B-Instruct",
    },
    "llama-3.3-70b": {
        "name": "Llama-3.3-70B-Instruct",
        "route": "foundry",
        "parameters": 70,
        "context": 128_000,
        "licence": "llama3.3",
        "duty": LLAMA,
        "lifecycle": "ga",
        "registry": f"{META}/Llama-3.3-70B-Instruct",
        "source": "meta-llama/Llama-3.3-70B-Instruct",
    },
    "llama-4-maverick": {
        "name": "Llama-4-Maverick-17B-128E-Instruct-FP8",
        "route": "foundry",
        "parameters": 400,
        "context": 1_000_000,
        "licence": "llama4",
        "duty": LLAMA,
        "lifecycle": "ga",
        "source": "meta-llama/Llama-4-Maverick-17B-128E-Instruct-FP8",
    },
    "gpt-oss-120b": {
        "name": "gpt-oss-120b",
        "route": "foundry",
        "parameters": 117,
        "context": 131_072,
        "licence": "apache-2.0",
        "lifecycle": "ga",
        "source": "openai/gpt-oss-120b",
    },
    "gpt-4": {**_GPT, "lifecycle": "retired", "retires": "2025-06-06", "replacement": "gpt-4o"},
    "gpt-4o": {**_GPT, "lifecycle": "legacy", "retires": "2027-04-14", "replacement": "gpt-5.1", "context": 128_000},
    "gpt-4o-mini": {**_GPT, "lifecycle": "deprecated", "retires": "2027-04-14", "context": 128_000},
    "gpt-4.1": {**_GPT, "lifecycle": "legacy", "retires": "2027-04-14"},
    "gpt-4.1-mini": {**_GPT, "lifecycle": "legacy", "retires": "2027-04-14"},
    "gpt-5": {**_GPT, "lifecycle": "ga", "retires": "2027-02-09"},
    "gpt-5.1": {**_GPT, "lifecycle": "ga", "retires": "2027-05-15"},
    "claude-haiku-4-5": {**_CLAUDE, "context": 200_000, "retires": "2026-10-19"},
    "claude-sonnet-4-5": {**_CLAUDE, "context": 200_000, "retires": "2026-10-19"},
    "claude-sonnet-4-6": {**_CLAUDE, "context": 1_000_000, "retires": "2027-02-10"},
    "claude-sonnet-5": {**_CLAUDE, "retires": "2027-06-30"},
    "claude-opus-4-1": {
        **_CLAUDE,
        "context": 200_000,
        "lifecycle": "retired",
        "retires": "2026-08-05",
        "replacement": "claude-opus-5",
    },
    "claude-opus-4-5": {**_CLAUDE, "context": 200_000, "retires": "2026-10-19"},
    "claude-opus-5": {**_CLAUDE, "retires": "2027-07-08"},
}

STUDENTS: dict[str, Data] = {
    "phi-4-mini": {
        **_PHI,
        "name": "Phi-4-mini-instruct",
        "parameters": 3.8,
        "context": 131_072,
        "lifecycle": "ga",
        "registry": f"{AZURE}/Phi-4-mini-instruct/versions/1",
        "source": "microsoft/Phi-4-mini-instruct",
    },
    "phi-4": {
        **_PHI,
        "name": "Phi-4",
        "parameters": 14.7,
        "context": 16_384,
        "lifecycle": "ga",
        "registry": f"{AZURE}/Phi-4/versions/7",
        "source": "microsoft/phi-4",
    },
    "phi-3.5-mini": {
        **_PHI_3,
        "name": "Phi-3.5-mini-instruct",
        "context": 131_072,
        "registry": f"{AZURE}/Phi-3.5-mini-instruct/versions/4",
        "source": "microsoft/Phi-3.5-mini-instruct",
    },
    "phi-3-mini": {
        **_PHI_3,
        "name": "Phi-3-mini-4k-instruct",
        "context": 4_096,
        "registry": f"{AZURE}/Phi-3-mini-4k-instruct/versions/14",
        "source": "microsoft/Phi-3-mini-4k-instruct",
    },
    "llama-3.1-8b": {
        **_LLAMA_31_RETIRED,
        "name": "Meta-Llama-3.1-8B-Instruct",
        "parameters": 8,
        "architecture": "LlamaForCausalLM",
        "registry": f"{META}/Meta-Llama-3.1-8B-Instruct/versions/1",
        "source": "meta-llama/Llama-3.1-8B-Instruct",
    },
    "llama-3.2-1b": {
        **_LLAMA_32,
        "name": "Llama-3.2-1B-Instruct",
        "parameters": 1.23,
        "registry": f"{META}/Llama-3.2-1B-Instruct/versions/1",
        "source": "meta-llama/Llama-3.2-1B-Instruct",
    },
    "llama-3.2-3b": {
        **_LLAMA_32,
        "name": "Llama-3.2-3B-Instruct",
        "parameters": 3.21,
        "registry": f"{META}/Llama-3.2-3B-Instruct/versions/1",
        "source": "meta-llama/Llama-3.2-3B-Instruct",
    },
    "qwen2.5-0.5b": {**_QWEN_25, "parameters": 0.49, "source": "Qwen/Qwen2.5-0.5B-Instruct"},
    "qwen2.5-1.5b": {**_QWEN_25, "parameters": 1.54, "source": "Qwen/Qwen2.5-1.5B-Instruct"},
    "qwen2.5-3b": {
        **_QWEN_25,
        "parameters": 3.09,
        "licence": "qwen-research",
        "duty": RESEARCH,
        "source": "Qwen/Qwen2.5-3B-Instruct",
    },
    "qwen3-0.6b": {
        **_QWEN_3,
        "parameters": 0.6,
        "registry": "azureml://registries/HuggingFace/models/qwen-qwen3-0.6b/versions/3",
        "source": "Qwen/Qwen3-0.6B",
    },
    "qwen3-1.7b": {**_QWEN_3, "parameters": 1.7, "source": "Qwen/Qwen3-1.7B"},
    "qwen3-4b": {**_QWEN_3, "parameters": 4, "source": "Qwen/Qwen3-4B"},
    "gemma-3-1b": {
        "parameters": 1,
        "context": 32_768,
        "architecture": "Gemma3ForCausalLM",
        "licence": "gemma",
        "duty": GEMMA,
        "source": "google/gemma-3-1b-it",
    },
    "smollm2-135m": {**_SMOLLM_2, "parameters": 0.135, "source": "HuggingFaceTB/SmolLM2-135M-Instruct"},
    "smollm2-360m": {**_SMOLLM_2, "parameters": 0.36, "source": "HuggingFaceTB/SmolLM2-360M-Instruct"},
    "smollm2-1.7b": {**_SMOLLM_2, "parameters": 1.7, "source": "HuggingFaceTB/SmolLM2-1.7B-Instruct"},
}

BUILT_IN = Catalog.model_validate({"teachers": TEACHERS, "students": STUDENTS})
