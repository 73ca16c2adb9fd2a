"""Deliveries in whatever form the malls have -> `products` or `rejects`; no record is dropped without a reason."""
