"""One file per question, each against a named peer or limit in the same run (docs/results.md)."""
