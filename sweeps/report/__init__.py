"""Something to look at: figures of a sweep, and the page of HTML that shows them all."""
