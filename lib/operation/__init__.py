"""Running the whole: from a prediction back to what it came of, and the upkeep of what the stages leave behind."""
