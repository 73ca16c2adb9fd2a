"""One module per table: what a row is, its key, columns, checks, write mode and retention."""
