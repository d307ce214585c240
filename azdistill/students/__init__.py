"""Students as folders of files: loading, saving, and rendering their chat templates."""
