"""Checks of a bundle against a workspace, before it is submitted: one module for each thing that is checked."""
