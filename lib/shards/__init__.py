"""Training rows of fixed length, shuffled over a window of months, in Parquet files of one row group each."""
