"""The conformance suite against Edgeway and its peers, all with the same models."""
