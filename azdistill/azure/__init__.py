"""Azure Machine Learning workspaces: check and submit a bundle, follow its job, download its outputs.

The only package that imports `azure.ai.ml`. It prints nothing and changes no setting of the process for good.
"""
