"""Inputs of the steps that load the student."""

from azdistill.contracts.step import Port

# Input of the steps that load a student which is not trained yet. A trained one is saved with its template.
CHAT_TEMPLATE = Port("uri_file", "Jinja file of a chat template, in place of the student's own", optional=True)
