"""NeMo DataDesigner with one text column over a seed of prompts, all row groups as large as the data.

Runs in a separate virtual environment: `data_designer_client.py URL PROMPTS IN_FLIGHT`.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

os.environ |= {"NEMO_TELEMETRY_ENABLED": "false"}

import data_designer.config as dd  # after the variable that it reads on import
import pandas as pd
from data_designer.interface import DataDesigner


def main(url: str, prompts: Path, in_flight: int) -> None:
    texts = [json.loads(line)["messages"][-1]["content"] for line in prompts.read_text().splitlines()]
    provider = dd.ModelProvider(name="here", endpoint=f"{url}/v1", api_key="none")
    parameters = dd.ChatCompletionInferenceParams(max_parallel_requests=in_flight, max_tokens=256)
    model = dd.ModelConfig(
        alias="m", model="m", provider="here", inference_parameters=parameters, skip_health_check=True
    )
    columns = dd.DataDesignerConfigBuilder(model_configs=[model])
    columns.with_seed_dataset(dd.DataFrameSeedSource(df=pd.DataFrame({"text": texts})))
    columns.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="m", prompt="{{ text }}"))
    with tempfile.TemporaryDirectory() as folder:
        designer = DataDesigner(artifact_path=folder, model_providers=[provider])
        designer.set_run_config(dd.RunConfig(buffer_size=len(texts), disable_early_shutdown=True))
        print(len(designer.create(columns, num_records=len(texts)).load_dataset()), "answers")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
