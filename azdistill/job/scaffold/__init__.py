"""A job folder to start from; the files beside this one are its templates."""
