"""What each `sweep` command prints, and when. Importing this package imports nothing."""
