"""Offers that people answer: the audit sample of the test side, the review queue of the train side, their sheets."""
