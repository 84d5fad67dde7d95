"""YAML text to plain values with their lines, and back."""
