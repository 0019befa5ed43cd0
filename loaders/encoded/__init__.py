"""Encoded images, as JPEG and PNG files: decoding, storing and where they come from."""
