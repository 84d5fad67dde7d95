"""What a run leaves: tables, `best/`, and the ways to read them."""
