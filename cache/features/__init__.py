"""Features: what models are fed with, or compute on their way, kept between requests (L3)."""
