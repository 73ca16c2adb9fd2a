"""Keras 3 layers and the category model; nothing here reads or writes but `saved`, which opens a model's folder."""
