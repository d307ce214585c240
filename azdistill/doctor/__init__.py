"""Check everything that a run needs: this machine, the job file, the workspace and the teachers."""
