"""The models of this project."""
