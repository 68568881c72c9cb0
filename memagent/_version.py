"""The version, alone in a module so that building needs no import of anything else."""

__version__ = "0.1.0"
