"""Settings: frozen dataclasses that one reader builds from YAML, words, JSON and web forms. Free of the engine."""
