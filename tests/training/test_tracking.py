"""Metrics of a training in the MLflow run of its job."""

import sqlite3

from mlflow.tracking import MlflowClient

from azdistill.contracts.train import TrainConfig
from azdistill.training.tracking import RUN_ID, TRACKING_URI, LogToMLflow


def test_metrics_are_logged_where_parameters_are_refused(tmp_path):
    """A service that refuses a value, such as one that is too long, must not leave a sweep without its objective."""
    database = tmp_path / "mlflow.db"
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    run = client.create_run(client.create_experiment("job")).info.run_id
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TRIGGER refuse BEFORE INSERT ON params BEGIN SELECT RAISE(ABORT, 'refused'); END")
    logger = LogToMLflow(TrainConfig(), "hash", {RUN_ID: run, TRACKING_URI: f"sqlite:///{database}"})
    logger.log({"eval_loss": 0.5}, 1)
    logger.log({"eval_loss": 0.25}, 2, last=True)
    data = client.get_run(run).data
    assert (data.metrics, data.params) == ({"eval_loss": 0.25}, {})
