"""Shards -> tf.data: the order of rows is computed, so a training resumes with the very batches it would have seen."""
