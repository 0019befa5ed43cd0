"""The same encoded images in the containers in which people keep them."""
