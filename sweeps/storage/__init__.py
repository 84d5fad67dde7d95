"""Files on disk: written whole, checksummed, locked, tried again."""
