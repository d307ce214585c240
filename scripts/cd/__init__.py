"""Continuous delivery of students with `az ml`: the verbs that the workflows run, which people can type, too.

`python -m scripts.cd VERB --help` explains each verb, and docs/cd.md the workflows.
"""
