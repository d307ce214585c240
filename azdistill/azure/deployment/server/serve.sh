#!/bin/bash
# Serve the student in AZUREML_MODEL_DIR on port 8000 by vLLM.
#
# SERVED_MODEL_NAME: name of the model in requests. VLLM_ARGS: more arguments.
set -eu

# Azure ML mounts a registered model below a folder whose name depends on how it was registered. In MLflow's layout the
# tokenizer has a folder of its own.
first() { find -L "$AZUREML_MODEL_DIR" -name "$1" -type f | sort | head -n 1; }
config=$(first config.json)
tokenizer=$(first tokenizer_config.json)
if [ -z "$config" ] || [ -z "$tokenizer" ]; then
  echo "no config.json and tokenizer_config.json below $AZUREML_MODEL_DIR: register a complete student; an adapter has to be merged into its base model first" >&2
  exit 1
fi
# Greedy unless a request asks for a temperature: vLLM ignores `do_sample: false` of generation_config.json.
# shellcheck disable=SC2086  # VLLM_ARGS are several words
exec vllm serve "$(dirname "$config")" --tokenizer "$(dirname "$tokenizer")" \
  --served-model-name "$SERVED_MODEL_NAME" --host 0.0.0.0 --port 8000 \
  --override-generation-config '{"temperature": 0.0}' ${VLLM_ARGS:-}
