"""A run on this machine, for the command line and the client: bundle, stand-in teachers, what a dry run replaces."""
