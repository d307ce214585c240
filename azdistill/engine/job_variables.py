"""Environment variables that Azure ML sets in a job, those of a local run, and how to tell the two apart."""

# The id of the job. For a node of a pipeline it is that of the node.
RUN_ID = "AZUREML_RUN_ID"
# The workspace, which a local run does not have.
SUBSCRIPTION, GROUP, WORKSPACE = "AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME"

# The address of the database of MLflow, where MLFLOW_TRACKING_URI is a server that ends with a local run.
TRACKING_DATABASE = "AZDISTILL_TRACKING_DATABASE"
# The token that the server requires: on loopback, each user of the machine could call it.
TRACKING_TOKEN = "AZDISTILL_TRACKING_TOKEN"

# The subscription of a simulated workspace. No subscription of Azure has this id.
SIMULATED_SUBSCRIPTION = "00000000-0000-0000-0000-000000000000"
