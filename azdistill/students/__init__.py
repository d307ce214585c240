"""Models as files: loading a student's folder, and the words of its chat template."""
