"""Models with state: requests that are steps of a sequence, and what is held between them."""
