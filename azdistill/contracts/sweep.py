"""Names that a sweep, its trials and the report have in common."""

# The metric that trials are compared by: the validation loss, under the name that Trainer logs it.
OBJECTIVE = "eval_loss"
