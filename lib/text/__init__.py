"""Names and mall categories as tokens, character grams and word vectors."""
