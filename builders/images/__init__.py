"""Image generators: one protocol; photographs changed with Pillow, endpoints, local pipelines."""
