"""What can be known before a bundle is submitted: a module for each thing looked at, and `order` for them all."""
