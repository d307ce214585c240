"""Prompts for a judge, and the parsing of its replies."""
