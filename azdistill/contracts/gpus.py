"""Variables of a node that tell a step of the GPUs that it must be able to use."""

# Number of GPUs that each instance of the node must have. Compiled from the VM size, absent where none is needed.
REQUIRED_GPUS = "AZDISTILL_REQUIRED_GPUS"

# Azure ML sets it in every job. Local runs of the same bundle do not have it: there, a GPU is never required.
AZURE_ML_RUN = "AZUREML_RUN_ID"
