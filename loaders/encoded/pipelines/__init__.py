"""The input pipelines of encoded images that are compared; each `*_loader.py` is one."""
