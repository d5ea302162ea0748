"""Shows a picture on the terminal it is started on, as `darkroom demo` does."""

import sys
from pathlib import Path

from cli.picture import show_file
from cli.terminal import out

show_file(Path(sys.argv[1]), out)
sys.stdout.write("shown\n")
