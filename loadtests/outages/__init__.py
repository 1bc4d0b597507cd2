"""How long an outage of a central tier is felt by the clients of an edge."""
