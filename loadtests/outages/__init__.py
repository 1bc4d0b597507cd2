"""How long an outage of a central tier is felt by those who ask an edge."""
