"""Strategy, step, loop, row-sparse optimizer, early stopping and temperature."""
