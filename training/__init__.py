"""How the shipped model was made, as commands that can be run again: see README.md beside this."""
