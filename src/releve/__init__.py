"""Relève: what one doctor leaves for the next, kept, encrypted and provable.

The five folders at the root of the repository are the sub-packages of ``releve``: the wheel maps
them there (``pyproject.toml``), and the links beside this file let editors and type checkers see
``releve.domain`` and the others without any import hook. Always import ``releve.domain``, never
the bare folder name: that would load every class twice.
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """The version, read from the installed distribution when somebody asks: reading is slow."""
    if name == "__version__":
        from importlib.metadata import version

        return version("releve")
    raise AttributeError(name)
