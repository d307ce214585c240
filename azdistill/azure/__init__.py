"""Azure Machine Learning workspaces: check and submit a bundle, follow its job, download its outputs.

The only package that imports `azure.ai.ml`. It prints nothing and restores the settings of the process that it
changes.
"""
