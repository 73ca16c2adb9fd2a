"""A saved model's answers: for a month on Spark, for a plain file of names, for evaluation."""
