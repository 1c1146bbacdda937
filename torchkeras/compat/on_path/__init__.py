"""A folder for `PYTHONPATH`: its one module is called `keras`."""
