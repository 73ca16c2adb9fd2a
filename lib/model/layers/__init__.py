"""The pieces the category model is made of, one small Keras layer a file."""
