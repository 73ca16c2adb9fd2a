"""One self-contained HTML page a month: what went through, what was learnt, how good it is, where it
fails."""
