"""Where processes keep what JAX compiles, so that others need not compile it again."""


def shared_by_jax(folder: str) -> dict[str, str]:
    """Return the variables with which all processes keep everything that they compile in a folder.

    They must be set before JAX is imported. By default it keeps what takes a second or longer.
    """
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
