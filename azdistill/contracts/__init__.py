"""What crosses a boundary: errors, row records, manifests and each step's config."""
