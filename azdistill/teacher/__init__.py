"""The teacher engine: every answer bought once."""
