"""What stands beside a model in `config.pbtxt`, Triton's format: read, checked, and told by line."""
