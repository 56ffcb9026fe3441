"""How the models that come with the package were made; not part of the wheel."""
