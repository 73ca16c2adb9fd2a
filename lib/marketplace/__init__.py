"""The embedded default source: a simulated market that the project owns, a pure function of its seed."""
