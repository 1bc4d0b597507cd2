"""What the clients of an edge feel of faults of pools and regions, and what those of Envoy do."""
