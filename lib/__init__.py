"""What the stages do; data flows one way through the packages here (docs/architecture.md)."""
