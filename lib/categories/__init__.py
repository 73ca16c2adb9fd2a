"""The platform's leaf categories: taxonomy of a month, label ids for ever, and the shape of the train split."""
