"""How what comes with the package was made; not part of the wheel."""
