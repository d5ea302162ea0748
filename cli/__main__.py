"""`python -m cli` is `darkroom`, wherever its environment was moved to."""

from cli.main import app

if __name__ == "__main__":
    app(prog_name="darkroom")
