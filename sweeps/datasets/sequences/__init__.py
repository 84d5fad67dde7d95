"""Series and texts, as windows."""
