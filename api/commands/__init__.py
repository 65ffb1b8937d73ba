"""The commands of the command line, one file each. Each has an `add_to`, which `api.__main__` calls."""
