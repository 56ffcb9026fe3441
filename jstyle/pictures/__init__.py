"""Pictures and their files: opened, turned into arrays, written with what they are, recognised when finished."""
