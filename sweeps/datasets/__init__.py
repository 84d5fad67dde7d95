"""Where examples come from: a built-in name, a file or a user's function becomes a `Dataset` of NumPy arrays."""
