"""Run any Azure ML pipeline on a local machine: the YAML model, the checks, the local runner and a pytest plugin.

Nothing here imports the rest of azdistill.
"""
