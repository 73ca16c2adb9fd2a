"""Whether a candidate takes the champion's place, and how it does."""
